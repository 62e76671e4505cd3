/* notes.c: notes of tcp/ with their connection's name; the ring they wait in. Called by tcp/ by way
 * of env.on_note, by trace.c for states, and by api/.
 */
#include "stack/notes.h"

#include "base/errors.h"
#include "stack/conn.h"
#include "tcp/note.h"

#define NOTES_MAX (UINT32_C(1) << 20)

_Static_assert((int)NOTE_STATE == UT_NOTE_STATE && (int)NOTE_METRICS == UT_NOTE_METRICS &&
                   (int)NOTE_RECOVERY == UT_NOTE_RECOVERY &&
                   (int)NOTE_RECOVERED == UT_NOTE_RECOVERED && (int)NOTE_LOST == UT_NOTE_LOST &&
                   (int)NOTE_LOST_BY_RTO == UT_NOTE_LOST_BY_RTO && (int)NOTE_RTO == UT_NOTE_RTO &&
                   (int)NOTE_PROBE == UT_NOTE_PROBE && (int)NOTE_UNDO == UT_NOTE_UNDO &&
                   (int)NOTE_ECN == UT_NOTE_ECN,
               "kinds are the public ones");

ut_note *notes_add(struct notes *n)
{
    if (n->count == n->capacity) {
        n->missed++;
        return NULL;
    }
    ut_note *note = &n->item[(n->first + n->count++) % n->capacity];
    *n->pending = n->count;
    *note = (ut_note){0};
    return note;
}

static void notes_on_note(struct tcb *t, uint8_t kind, uint64_t lo, uint64_t hi)
{
    const struct conn *c = UT_CONTAINER_OF(t, struct conn, tcb);
    ut_stack *s = UT_CONTAINER_OF(t->env, struct ut_stack, env);
    ut_note *note = notes_add(&s->trace.notes);
    if (note == NULL)
        return;
    note->at_ns = s->now;
    trace_endpoint(&note->local, &c->key.local, c->key.lport);
    trace_endpoint(&note->remote, &c->key.remote, c->key.rport);
    note->kind = kind;
    note->from = note->to = t->state;
    note->lo = lo;
    note->hi = hi;
    note->srtt_ns = t->rtt.srtt;
    note->rttvar_ns = t->rtt.rttvar;
    note->rtt_min_ns = t->rtt.min != TIME_NEVER ? t->rtt.min : 0;
    note->rto_ns = t->rtt.rto;
    note->pacing_rate = t->cc.pacing_rate;
    note->cwnd = t->cc.cwnd;
    note->ssthresh = t->cc.ssthresh;
    note->flight = tcb_flight(t);
    note->recovery = t->recovery_mode;
    note->has_metrics = 1;
}

int notes_start(ut_stack *s, uint32_t capacity)
{
    struct notes *n = &s->trace.notes;
    if (notes_are_on(n) || capacity == 0 || capacity > NOTES_MAX)
        return -UT_E_INVALID;
    n->item = alloc_get(&s->alloc, capacity * sizeof *n->item);
    if (n->item == NULL)
        return -UT_E_NO_MEMORY;
    n->capacity = capacity;
    n->first = n->count = 0;
    n->missed = 0;
    n->pending = &s->shared.notes_pending;
    s->env.on_note = notes_on_note;
    return 0;
}

void notes_stop(ut_stack *s)
{
    struct notes *n = &s->trace.notes;
    if (!notes_are_on(n))
        return;
    s->env.on_note = NULL;
    alloc_put(&s->alloc, n->item, n->capacity * sizeof *n->item);
    *n->pending = 0;
    *n = (struct notes){0};
}

int notes_take(struct notes *n, ut_note *out, int max, uint64_t *missed)
{
    int count = 0;
    while (count < max && n->count != 0) {
        out[count++] = n->item[n->first];
        n->first = (n->first + 1) % n->capacity;
        n->count--;
    }
    *missed = 0;
    if (n->capacity == 0)
        return 0;
    *n->pending = n->count;
    if (n->count == 0) {
        *missed = n->missed;
        n->missed = 0;
    }
    return count;
}
