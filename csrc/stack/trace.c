/* trace.c: remembers state transitions. Called by conn.c, half_open.c and timewait.c after each
 * step.
 */
#include "stack/trace.h"

#include <stdio.h>

#include "wire/dump.h"

bool trace_init(struct trace *t, struct alloc *a, uint32_t capacity)
{
    *t = (struct trace){0};
    if (capacity == 0)
        return true;
    t->item = alloc_get(a, capacity * sizeof *t->item);
    if (t->item == NULL)
        return false;
    t->capacity = capacity;
    return true;
}

void trace_fini(struct trace *t, struct alloc *a)
{
    alloc_put(a, t->item, t->capacity * sizeof *t->item);
    *t = (struct trace){0};
}

void trace_endpoint(ut_endpoint *to, const struct ipaddr *ip, uint16_t port)
{
    *to = (ut_endpoint){.port = port};
    memcpy(to->ip, ip->b, sizeof to->ip);
}

/* "close", "<-- seq=1 ack=1 FIN,ACK", "close: --> seq=..." */
static void trace_words(char *to, size_t cap, const struct trace_subject *of,
                        struct trace_cause cause)
{
    int at = 0;
    if (cause.call != NULL)
        at = snprintf(to, cap, "%s%s", cause.call, cause.seg != NULL ? ": " : "");
    if (cause.seg == NULL)
        return;
    at += snprintf(to + at, cap - (size_t)at, "%s ", cause.is_received ? "<--" : "-->");
    if (cause.is_received)
        dump_tcp(to + at, cap - (size_t)at, cause.seg, of->irs, of->iss);
    else
        dump_tcp(to + at, cap - (size_t)at, cause.seg, of->iss, of->irs);
}

static void trace_note(struct notes *n, const struct trace_subject *of, enum tcp_state from,
                       enum tcp_state to, struct trace_cause cause)
{
    ut_note *note = notes_add(n);
    if (note == NULL)
        return;
    note->at_ns = of->now;
    trace_endpoint(&note->local, &of->key->local, of->key->lport);
    trace_endpoint(&note->remote, &of->key->remote, of->key->rport);
    note->kind = UT_NOTE_STATE;
    note->from = (uint8_t)from;
    note->to = (uint8_t)to;
    note->call = cause.call;
    note->error = to == TCP_CLOSED ? of->error : 0;
    note->flags = cause.seg != NULL ? (uint8_t)cause.seg->flags : 0; /* without AE */
    note->received = cause.seg != NULL && cause.is_received;
}

void trace_write(struct trace *t, const struct trace_subject *of, enum tcp_state from,
                 enum tcp_state to, struct trace_cause cause)
{
    if (notes_are_on(&t->notes))
        trace_note(&t->notes, of, from, to, cause);
    if (t->capacity == 0)
        return;
    ut_transition *item = &t->item[(t->first + t->count) % t->capacity];
    if (t->count < t->capacity)
        t->count++;
    else
        t->first = (t->first + 1) % t->capacity;
    *item = (ut_transition){
        .at_ns = of->now,
        .handle = of->handle,
        .from = (uint8_t)from,
        .to = (uint8_t)to,
        .received = cause.seg != NULL && cause.is_received,
    };
    trace_endpoint(&item->local, &of->key->local, of->key->lport);
    trace_endpoint(&item->remote, &of->key->remote, of->key->rport);
    trace_words(item->cause, sizeof item->cause, of, cause);
}

int trace_take(struct trace *t, ut_transition *out, int max)
{
    int count = 0;
    while (count < max && t->count != 0) {
        out[count++] = t->item[t->first];
        t->first = (t->first + 1) % t->capacity;
        t->count--;
    }
    return count;
}
