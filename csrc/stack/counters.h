/* counters.h: the enum made from counters.def.
 */
#ifndef UT_STACK_COUNTERS_H
#define UT_STACK_COUNTERS_H

enum counter {
#define UT_COUNTER(name, sentence) COUNTER_##name,
#include "stack/counters.def"
#undef UT_COUNTER
    COUNTER_COUNT
};

#endif
