/* timeout.c: what happens when a deadline passes (RFC 9293 3.10.8; RFC 6298 5.4 to 5.7).
 *
 * Called by the stack when timers_next is due; output follows.
 */
#include "tcp/timeout.h"

#include "tcp/mtu.h"
#include "tcp/recovery.h"
#include "tcp/steps.h"
#include "tcp/timers.h"

static void persist(struct tcb *t, ns_t now)
{
    t->probe_now = true;
    t->rtt.timed_since = TIME_NEVER;
    /* RFC 9293 3.8.6.1 (SHLD-30): the interval grows exponentially. Not where the window is open
     * and what waits is less than a segment: then this is the time-out of 3.8.6.2.1, and what it
     * sends is no question. */
    if (t->snd_wnd == 0 || tcb_flight(t) > 0)
        rtt_back_off(&t->rtt);
    timers_start_persist(t, now);
}

static bool rexmt_timeout(struct tcb *t, ns_t now)
{
    if (timers_are_out_of_patience(t, now)) {
        /* R2: RFC 9293 3.8.3 (MUST-20). A router that said why knows better than the clock. */
        close_with(t, t->soft_error != 0 ? t->soft_error : UT_E_TIMED_OUT);
        return true;
    }
    if (t->rexmt_kind == REXMT_PERSIST || (t->snd_wnd == 0 && t->state >= TCP_ESTABLISHED)) {
        /* MUST-35: data in flight when the window shrank to zero is probed, not resent. */
        persist(t, now);
        return false;
    }
    if (t->rexmt_kind == REXMT_REORDER && t->rto_due > now) {
        recovery_on_reorder(t, now);
        timers_choose_rexmt(t, now);
        return false;
    }
    if (t->rexmt_kind == REXMT_PROBE) {
        t->rack.tlp_now = true;
        t->rack.tlp_sampled = false;  /* no second one, should this one not leave */
        timers_restart_rexmt(t, now); /* 8985-16 (MUST), also when no probe leaves */
        return false;
    }
    if (tcb_is_early(t) && t->syn_tries > t->env->params.synack_retries) {
        close_with(t, UT_E_TIMED_OUT); /* as half-open entries end */
        return true;
    }
    t->rtt.timed_since = TIME_NEVER;
    if (t->state >= TCP_ESTABLISHED && mtu_on_rto(t)) {
        timers_restart_rexmt(t, now); /* no back-off: the segment was too large, not lost */
        return false;
    }
    if (t->state < TCP_ESTABLISHED) {
        t->syn_queued = true;
        t->syn_retransmitted = true;
        t->retransmits++;
    } else {
        recovery_on_rto(t, now);
    }
    rtt_back_off(&t->rtt); /* RFC 6298 5.5 (MUST); rtt_timeout caps it */
    timers_restart_rexmt(t, now);
    return false;
}

bool tcp_timeout(struct tcb *t, ns_t now)
{
    bool closed = false;
    if (t->wait_deadline <= now) {
        /* SEC-15, SEC-16: nobody waits for this connection any more, and nothing moves. */
        close_with(t, UT_E_TIMED_OUT);
        return true;
    }
    if (t->delack_deadline <= now) {
        t->delack_deadline = TIME_NEVER;
        t->ack_now = true;
        fast_open_release(t);
    }
    if (t->pace_deadline <= now)
        t->pace_deadline = TIME_NEVER; /* output follows */
    if (t->rexmt_deadline <= now)
        closed = rexmt_timeout(t, now);
    if (!closed && t->keepalive.deadline <= now && keepalive_timeout(t, now)) {
        close_with(t, UT_E_TIMED_OUT);
        closed = true;
    }
    tcb_check(t);
    return closed;
}
