/* respond.c: resets, built from the segment they answer or from the connection they end.
 *
 * Called by the stack when a verdict asks for it. RFC 9293 3.5.2, 3.5.3, 3.10.5.
 */
#include "tcp/respond.h"

#include "tcp/arrive.h"
#include "tcp/options.h"

void respond_rst(const struct tcp_seg *in, struct tcp_seg *out)
{
    UT_ASSERT(!(in->flags & TCP_RST)); /* SEC-14: an RST is never answered by one */
    *out = (struct tcp_seg){.sport = in->dport, .dport = in->sport};
    if (in->flags & TCP_ACK) {
        out->flags = TCP_RST;
        out->seq = in->ack;
    } else {
        out->flags = TCP_RST | TCP_ACK;
        out->ack = seq_add(in->seq, seg_len(in));
    }
}

bool respond_abort(const struct tcb *t, ns_t now, struct tcp_seg *out)
{
    switch (t->state) {
    case TCP_SYN_RECEIVED:
    case TCP_ESTABLISHED:
    case TCP_FIN_WAIT_1:
    case TCP_FIN_WAIT_2:
    case TCP_CLOSE_WAIT:
        break;
    default:
        return false; /* RFC 9293 3.10.5: the peer knows of nothing, or has closed as well */
    }
    *out = (struct tcp_seg){.flags = TCP_RST | TCP_ACK, .seq = t->snd_nxt, .ack = t->rcv_nxt};
    /* RFC 7323 3.2 (SHOULD): on RST too. */
    out->opt.has_ts = t->ts_ok;
    if (t->ts_ok) {
        out->opt.ts_val = options_ts_now(t->ts_offset, now);
        out->opt.ts_ecr = t->ts_recent;
    }
    return true;
}
