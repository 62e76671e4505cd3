/* drops.h: the enum made from drops.def. DROP_none means "not dropped". */
#ifndef UT_BASE_DROPS_H
#define UT_BASE_DROPS_H

enum drop_reason {
    DROP_none,
#define UT_DROP(name, sentence) DROP_##name,
#include "base/drops.def"
#undef UT_DROP
    DROP_COUNT
};

#endif
