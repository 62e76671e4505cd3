/* egress.c: output of connections and of compact records, written into the link's frames.
 *
 * Called by stack_settle and by whoever answers a segment. Headers are written into the frame's
 * head, payload stays in the send ring and is only pointed at (link.h, rule 2).
 */
#include "stack/egress.h"

#include "stack/resolve.h"
#include "tcp/output.h"
#include "tcp/respond.h"
#include "tcp/timers.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

#define IP_PACKET_MAX 65535u

struct link_out *egress_begin(ut_stack *s, const struct ip_hdr *ip, const struct macaddr *station)
{
    struct link_out *o = link_reserve(s->link);
    if (station != NULL) {
        struct ether_hdr ether = {.dst = *station,
                                  .type = ip->version == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6};
        memcpy(ether.src.b, s->link->mac, sizeof ether.src.b);
        ether_write(o->head, &ether);
        o->head_len = ETHER_HEADER_LEN;
    }
    if (ip->version == 4) {
        ipv4_write(o->head + o->head_len, ip);
        o->head_len += IPV4_HEADER_LEN;
    } else {
        ipv6_write(o->head + o->head_len, ip);
        o->head_len += IPV6_HEADER_LEN;
    }
    return o;
}

/* The link completes checksums and, for this family, cuts segments. */
static bool egress_has_tso(const ut_stack *s, bool is_v4)
{
    uint32_t need = LINK_CAP_TX_CSUM | (is_v4 ? LINK_CAP_TX_TSO4 : LINK_CAP_TX_TSO6);
    return (s->link->caps & need) == need;
}

/* Checksum and offload marks; the TCP header begins at `at` in the head, payload is attached. */
static void egress_finish(ut_stack *s, struct link_out *o, const struct flow_key *key, uint32_t at,
                          uint16_t mss)
{
    uint32_t header_len = o->head_len - at, len = o->body_len[0] + o->body_len[1];
    uint8_t *tcp = o->head + at;
    if (len > mss) {
        bool is_v4 = ipaddr_is_v4(&key->remote);
        o->offload.gso = is_v4 ? LINK_GSO_TCP4 : LINK_GSO_TCP6;
        o->offload.gso_size = mss;
        if (UT_UNLIKELY(tcp_flags(tcp) & TCP_CWR)) /* RFC 3168 6.1.2: the first segment's only */
            o->offload.flags |= LINK_GSO_ECN;
    }
    if (s->link->caps & LINK_CAP_TX_CSUM) {
        tcp_checksum_partial(tcp, header_len + len, &key->local, &key->remote);
        o->offload.flags |= LINK_NEEDS_CSUM;
        o->offload.csum_start = (uint16_t)at;
        o->offload.csum_offset = TCP_CHECKSUM_OFFSET;
        o->offload.header_len = (uint16_t)o->head_len;
        return;
    }
    uint32_t sum = 0;
    if (o->body_len[0] != 0)
        sum = checksum_add_at(o->body[0], o->body_len[0], 0, sum);
    if (o->body_len[1] != 0)
        sum = checksum_add_at(o->body[1], o->body_len[1], o->body_len[0], sum);
    tcp_checksum_set(tcp, len, sum, &key->local, &key->remote);
}

static struct ip_hdr egress_ip(const struct flow_key *key, uint32_t payload_len)
{
    return (struct ip_hdr){
        .src = key->local,
        .dst = key->remote,
        .version = ipaddr_is_v4(&key->remote) ? 4 : 6,
        .proto = IP_PROTO_TCP,
        .ttl = CONN_TTL_DEFAULT,
        .payload_len = payload_len,
        /* RFC 6864 4: every packet of ours is atomic (DF), so the ID stays 0 and says nothing. */
    };
}

/* ---- connections ---------------------------------------------------------------------------- */

static void egress_out(ut_stack *s, const struct conn *c, struct tcp_out *out,
                       const struct macaddr *station)
{
    struct ip_hdr ip =
        egress_ip(&c->key, TCP_HEADER_LEN + (uint32_t)tcp_opt_length(&out->seg.opt) + out->seg.len);
    ip.ttl = c->ttl;
    ip.dscp_ecn = (uint8_t)(c->dscp << 2 | (out->seg.ip_ecn & 3));
    ip.flow_label = c->key.owners;
    out->seg.sport = c->key.lport;
    out->seg.dport = c->key.rport;
    struct link_out *o = egress_begin(s, &ip, station);
    uint32_t at = o->head_len;
    /* DEVIATES RFC 6864 4.3: random IDs may repeat within a segment's lifetime, because 16 bits
     * cannot but do so at today's rates; TCP's checksum finds what was put together wrongly. */
    if (UT_UNLIKELY(c->may_fragment))
        ipv4_allow_fragments(o->head + at - IPV4_HEADER_LEN, (uint16_t)rand_u64(&s->rand));
    o->head_len += (uint32_t)tcp_write(o->head + at, &out->seg);
    for (int i = 0; i < 2 && out->data.len[i] != 0; i++) {
        o->body[i] = out->data.at[i];
        o->body_len[i] = out->data.len[i];
    }
    egress_finish(s, o, &c->key, at, out->mss);
    stack_count(s, COUNTER_segments_out);
}

/* Payload bytes one description may have: one segment, or what the link segments for us. */
static uint32_t egress_limit(const ut_stack *s, const struct conn *c)
{
    bool is_v4 = ipaddr_is_v4(&c->key.remote);
    /* RFC 9768 3.3.4: where CWR is a bit of a counter, what cuts segments would keep it on the
     * first only. */
    if (!egress_has_tso(s, is_v4) || (c->tcb.ack_flags & TCP_CWR))
        return 1;
    uint32_t most = u32_min(s->link->gso_max, IP_PACKET_MAX);
    return most - stack_ip_header_len(is_v4) - TCP_MAX_HEADER_LEN;
}

/* Where the connection's frames go. False: nowhere yet, and the connection waits. */
static bool egress_station(ut_stack *s, struct conn *c, const struct macaddr **station)
{
    *station = NULL;
    if (!stack_is_ethernet(s))
        return true;
    *station = resolve_station(s, &c->key.remote, &c->neighbour);
    if (UT_LIKELY(*station != NULL))
        return true;
    if (neigh_at(&s->neighbours, c->neighbour) != NULL) {
        conn_wait(s, c);
        deadline_set(&s->heap, &c->timer, timers_next(&c->tcb));
    } else {
        egress_lose(s, c); /* no route any more, or no room to resolve */
    }
    return false;
}

/* After its output: the next deadline, or the end of a connection that only had an ACK to send. */
static void egress_rest(ut_stack *s, struct conn *c)
{
    if (c->tcb.events != 0)
        conn_tell(s, c);
    if (c->tcb.state != TCP_TIME_WAIT)
        deadline_set(&s->heap, &c->timer, timers_next(&c->tcb));
    else if (!c->has_user && c->listener == 0 && !c->is_waiting)
        conn_free(s, c);
}

void egress_lose(ut_stack *s, struct conn *c)
{
    struct tcp_out out;
    while (tcp_output_next(&c->tcb, s->now, 1, &out))
        stack_drop(s, DROP_neigh_failed);
    egress_rest(s, c);
}

static void egress_conn(ut_stack *s, struct conn *c)
{
    struct tcp_out out;
    const struct macaddr *station;
    if (tcp_output_is_due(&c->tcb) && UT_LIKELY(!s->holds_output)) {
        if (!egress_station(s, c, &station))
            return;
        uint32_t limit = egress_limit(s, c);
        while (tcp_output_next(&c->tcb, s->now, limit, &out)) {
            egress_out(s, c, &out, station);
            if (UT_UNLIKELY(s->env.moves.count != 0))
                conn_trace(s, c, (struct trace_cause){.seg = &out.seg});
        }
    }
    egress_rest(s, c);
}

void egress_dirty(ut_stack *s)
{
    while (!list_is_empty(&s->dirty)) {
        struct conn *c = UT_CONTAINER_OF(s->dirty.next, struct conn, work);
        list_remove(&c->work);
        egress_conn(s, c);
    }
}

void egress_hold(ut_stack *s, bool on)
{
    s->holds_output = on;
    for (uint32_t i = 0; !on && i < s->conns.fresh; i++) {
        struct conn *c = conn_at(s, i);
        if (c != NULL && tcp_output_is_due(&c->tcb))
            conn_mark_dirty(s, c);
    }
}

/* ---- replies -------------------------------------------------------------------------------- */

void egress_segment(ut_stack *s, const struct flow_key *key, const struct tcp_seg *seg,
                    const struct macaddr *station)
{
    struct tcp_seg copy = *seg;
    copy.sport = key->lport;
    copy.dport = key->rport;
    if (stack_is_ethernet(s) && station == NULL) {
        station = resolve_reply_station(s, &key->remote);
        if (station == NULL) {
            stack_drop(s, DROP_no_source_mac);
            return;
        }
    }
    struct ip_hdr ip = egress_ip(key, TCP_HEADER_LEN + (uint32_t)tcp_opt_length(&copy.opt));
    if (ip.version == 6)
        ip.flow_label = demux_flow_label(&s->demux, key);
    struct link_out *o = egress_begin(s, &ip, station);
    uint32_t at = o->head_len;
    o->head_len += (uint32_t)tcp_write(o->head + at, &copy);
    egress_finish(s, o, key, at, UINT16_MAX);
    stack_count(s, COUNTER_segments_out);
    if (copy.flags & TCP_RST)
        stack_count(s, COUNTER_resets_out);
}

void egress_reset(ut_stack *s, const struct rx *rx)
{
    struct tcp_seg rst;
    respond_rst(&rx->seg, &rst);
    egress_segment(s, &rx->key, &rst, rx_station(s, rx));
}
