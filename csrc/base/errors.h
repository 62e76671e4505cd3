/* errors.h: the enum made from errors.def; functions return 0 or more for success, -code else. */
#ifndef UT_BASE_ERRORS_H
#define UT_BASE_ERRORS_H

enum ut_error {
#define UT_ERROR(code, name, exception, sentence) UT_E_##name = code,
#include "base/errors.def"
#undef UT_ERROR
};

#endif
