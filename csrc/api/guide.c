/* guide.c: the ut_cc_* calls: congestion control that the host decides.
 */
#include "stack/guide.h"

#include "api/enter.h"
#include "base/errors.h"

int ut_cc_attach(ut_stack *s, ut_handle h, unsigned flags, uint64_t interval_ns, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = conn_of(s, h);
    if (c != NULL && c->has_user)
        code = guide_attach(s, c, flags, interval_ns);
    return enter_leave(s, code);
}

int ut_cc_detach(ut_stack *s, ut_handle h, int failed, uint64_t now)
{
    int code = -UT_E_STALE_HANDLE;
    enter_at(s, now);
    struct conn *c = conn_of(s, h);
    if (c != NULL) {
        code = 0;
        if (guide_detach(s, c) && failed != 0)
            stack_count(s, COUNTER_congestion_failed);
    }
    return enter_leave(s, code);
}

int ut_cc_reports(ut_stack *s, ut_cc_report *out, int max)
{
    enter(s);
    int count = guide_reports(s, out, max);
    pthread_mutex_unlock(&s->lock);
    return count;
}

int ut_cc_decide(ut_stack *s, const ut_cc_decision *decisions, int count, uint64_t now)
{
    int applied = 0;
    enter_at(s, now);
    for (int i = 0; i < count; i++)
        applied += guide_decide(s, &decisions[i]);
    return enter_leave(s, applied);
}
