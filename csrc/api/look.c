/* look.c: the ut_* calls that only look: snapshots, counters, traces, names.
 */
#include "api/enter.h"
#include "base/errors.h"
#include "stack/info.h"

int ut_get_info(ut_stack *s, ut_handle h, ut_info *out)
{
    int code = 0;
    enter(s);
    const struct conn *c = conn_of(s, h);
    const struct listener *l = listen_of(s, h);
    if (c != NULL)
        info_conn(s, c, out);
    else if (l != NULL)
        info_listener(s, l, out);
    else
        code = -UT_E_STALE_HANDLE;
    pthread_mutex_unlock(&s->lock);
    return code;
}

int ut_list(ut_stack *s, ut_info *out, int max)
{
    enter(s);
    int count = info_list(s, out, max);
    pthread_mutex_unlock(&s->lock);
    return count;
}

int ut_counters(ut_stack *s, uint64_t *out, int max)
{
    enter(s);
    int count = info_counters(s, out, max);
    pthread_mutex_unlock(&s->lock);
    return count;
}

const char *ut_counter_name(int index) { return info_counter_name(index); }

int ut_trace_read(ut_stack *s, ut_transition *out, int max)
{
    enter(s);
    int count = trace_take(&s->trace, out, max);
    pthread_mutex_unlock(&s->lock);
    return count;
}

int ut_unfinished(ut_stack *s)
{
    enter(s);
    int count = info_unfinished(s);
    pthread_mutex_unlock(&s->lock);
    return count;
}

int ut_awaiting_fin(ut_stack *s)
{
    enter(s);
    int count = info_awaiting_fin(s);
    pthread_mutex_unlock(&s->lock);
    return count;
}

uint64_t ut_memory_in_use(ut_stack *s)
{
    enter(s);
    uint64_t bytes = s->alloc.in_use;
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

static const struct {
    const char *name, *sentence;
} errors[] = {
#define UT_ERROR(code, name, exception, sentence) [code] = {#name, sentence},
#include "base/errors.def"
#undef UT_ERROR
};

/* Of a code or a negated one; NULL: there is none of that number. */
static const char *error_text(int code, bool sentence)
{
    int index = code < 0 ? -code : code;
    if (index < 0 || (size_t)index >= UT_COUNTOF(errors))
        return NULL;
    return sentence ? errors[index].sentence : errors[index].name;
}

const char *ut_error_name(int code) { return error_text(code, false); }

const char *ut_error_sentence(int code) { return error_text(code, true); }

const char *ut_checksum_name(void) { return info_checksum_name(); }

const char *ut_congestion_name(int index) { return info_congestion_name(index); }
