/* ingress.c: received frames: link, network and transport headers, then the table.
 *
 * Called by poll.c for each frame of a batch. Whatever is wrong with a frame ends in one named,
 * counted drop. Output is not asked for here: the whole batch is taken in first (RFC 9293
 * 3.10.7.4, MUST-58, MUST-59).
 */
#include "stack/ingress.h"

#include "stack/egress.h"
#include "stack/half_open.h"
#include "stack/path.h"
#include "stack/resolve.h"
#include "stack/timewait.h"
#include "tcp/arrive.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/text_at.h"

/* ---- TCP ------------------------------------------------------------------------------------ */

static void ingress_conn(ut_stack *s, struct rx *rx, struct conn *c)
{
    seq32 una = c->tcb.snd_una;
    struct tcp_verdict v = tcp_arrive(&c->tcb, &rx->seg, s->now);
    if (UT_UNLIKELY(v.reset))
        egress_reset(s, rx);
    if (!seq_eq(una, c->tcb.snd_una)) {
        /* RFC 4861 7.3.1: new data was acknowledged, so the way there works. */
        struct neigh *n = neigh_at(&s->neighbours, c->neighbour);
        if (n != NULL && neigh_is_resolved(n))
            neigh_confirm(n, s->now);
    }
    conn_after(s, c, (struct trace_cause){.seg = &rx->seg, .is_received = true});
}

/* No record of that name: a listener's, or nobody's. */
static void ingress_stranger(ut_stack *s, struct rx *rx, const seq32 *isn_after)
{
    struct listener *l = listen_for(s, &rx->key);
    if (l != NULL) {
        listen_arrive(s, rx, l, isn_after);
        return;
    }
    struct tcp_verdict v = tcp_arrive_closed(&rx->seg);
    stack_drop(s, v.reason);
    if (v.reset)
        egress_reset(s, rx);
}

static void ingress_dispatch(ut_stack *s, struct rx *rx)
{
    struct last_flow *last = &s->last_flow;
    if (last->ref == 0 || !flow_equal(&last->key, &rx->key)) {
        last->ref = demux_find(&s->demux, &rx->key);
        last->key = rx->key;
    }
    uint32_t index = demux_index(last->ref);
    seq32 isn_after;
    stack_count(s, COUNTER_segments_in);
    switch (demux_kind(last->ref)) {
    case RECORD_CONN:
        ingress_conn(s, rx, conn_at(s, index));
        break;
    case RECORD_HALF:
        half_open_arrive(s, rx, index);
        break;
    case RECORD_TIME_WAIT:
        if (!timewait_arrive(s, rx, index, &isn_after))
            ingress_stranger(s, rx, &isn_after);
        break;
    case RECORD_NONE:
        ingress_stranger(s, rx, NULL);
        break;
    }
}

/* Whether the link has verified the checksum, or the data never was on a wire. */
static bool ingress_is_vouched(const ut_stack *s, const struct link_frame *f)
{
    return (s->link->caps & LINK_CAP_RX_CSUM) &&
           (f->offload.flags & (LINK_CSUM_VALID | LINK_NEEDS_CSUM));
}

/* Of a frame in two pieces: nobody has to look at the text, and it is all that lies apart? */
static bool ingress_may_lie_apart(const ut_stack *s, const struct link_frame *f)
{
    const uint32_t below = stack_is_ethernet(s) ? ETHER_HEADER_LEN : 0;
    return ingress_is_vouched(s, f) && f->head > below &&
           below + text_at(f->data + below, f->head - below) == f->head;
}

/* Where the text lies, and how the next frames like this one are to lie. */
static void ingress_text(ut_stack *s, struct rx *rx)
{
    const struct link_frame *f = rx->frame;
    struct posted *p = &s->env.rcv.posted;
    if (UT_UNLIKELY(rx->seg.len >= p->worth) && !rx->is_reassembled) {
        posted_saw(p, rx->seg.len);
        s->link->split = (uint32_t)(rx->seg.data - f->data);
    }
    if (UT_UNLIKELY(f->posted != 0)) {
        rx->seg.data = posted_at(p, f->posted)->memory;
        rx->seg.posted = f->posted;
    }
}

/* RFC 9293 3.1 (MUST-3), unless the link vouches for it. */
static bool ingress_checksum_ok(const ut_stack *s, const struct rx *rx)
{
    if (ingress_is_vouched(s, rx->frame) && !rx->is_reassembled)
        return true;
    return tcp_checksum_ok(&rx->ip.src, &rx->ip.dst, rx->ip.payload, rx->ip.payload_len);
}

static enum drop_reason ingress_tcp(ut_stack *s, struct rx *rx)
{
    /* RFC 9293 3.9.2.3 (MUST-57): nothing for or by way of a group. */
    if (!rx->is_unicast || !addr_is_ours(&s->addresses, &rx->ip.dst))
        return DROP_ip_not_ours;
    enum drop_reason why = tcp_parse(rx->ip.payload, rx->ip.payload_len, &rx->seg);
    if (why != DROP_none && why != DROP_tcp_options)
        return why;
    if (!ingress_checksum_ok(s, rx))
        return DROP_tcp_checksum;
    if (why != DROP_none)
        return why;
    if (rx->seg.sport == 0 || rx->seg.dport == 0)
        return DROP_tcp_port_zero;
    rx->seg.ip_ecn = rx->ip.dscp_ecn & 3;
    ingress_text(s, rx);
    rx->seg.gso_size = rx->is_reassembled ? 0 : rx->frame->offload.gso_size;
    rx->key = (struct flow_key){
        .local = rx->ip.dst, .remote = rx->ip.src, .lport = rx->seg.dport, .rport = rx->seg.sport};
    ingress_dispatch(s, rx);
    return DROP_none;
}

/* ---- ICMP ----------------------------------------------------------------------------------- */

static enum drop_reason ingress_echo(ut_stack *s, struct rx *rx, const struct icmp_msg *m)
{
    struct ip_hdr ip = {.src = rx->ip.dst, /* RFC 1122 3.3.4.2 */
                        .dst = rx->ip.src,
                        .version = rx->ip.version,
                        .proto = rx->ip.proto,
                        .ttl = CONN_TTL_DEFAULT,
                        .dscp_ecn = rx->ip.dscp_ecn & 0xfc,
                        .payload_len = ICMP_HEADER_LEN + m->body_len};
    if (ip.payload_len + stack_ip_header_len(ip.version == 4) > s->mtu)
        return DROP_ip_length;
    /* RFC 1122 3.2.2.6, RFC 4443 4.2: an address of one host is what we answer for. */
    if (!rx->is_unicast || !addr_is_ours(&s->addresses, &rx->ip.dst))
        return DROP_ip_not_ours;
    if (!icmp_in_may_echo(&s->echo_rate, s->now))
        return DROP_icmp_rate;
    struct link_out *o = egress_begin(s, &ip, rx_station(s, rx));
    o->body[0] = s->scratch;
    o->body_len[0] =
        (uint32_t)(ip.version == 4 ? icmp4_write_echo(s->scratch, m)
                                   : icmp6_write_echo(s->scratch, m, &ip.src, &ip.dst));
    link_flush(s->link); /* the next answer needs the scratch */
    stack_count(s, COUNTER_echoes_answered);
    return DROP_none;
}

/* RFC 9293 3.9.2.2 (MUST-54): to the connection whose segment is quoted. */
static enum drop_reason ingress_icmp_error(ut_stack *s, const struct rx *rx,
                                           const struct icmp_msg *m,
                                           const struct icmp_meaning *meaning)
{
    struct icmp_quote q;
    if (!addr_is_ours(&s->addresses, &rx->ip.dst))
        return DROP_ip_not_ours;
    enum drop_reason why = icmp_quote_parse(m, rx->ip.version, &q);
    if (why != DROP_none)
        return why;
    struct flow_key key = {.local = q.src, .remote = q.dst, .lport = q.sport, .rport = q.dport};
    uint32_t ref = demux_find(&s->demux, &key);
    if (ref == 0)
        return DROP_icmp_unmatched;
    stack_count(s, COUNTER_icmp_errors_in);
    if (demux_kind(ref) != RECORD_CONN)
        return DROP_icmp_ignored; /* half-open and TIME-WAIT entries end by themselves */
    struct conn *c = conn_at(s, demux_index(ref));
    if (meaning->action == ICMP_DO_TOO_BIG)
        why = path_report(s, c, m, &q);
    else
        tcp_icmp_error(&c->tcb, seq_make(q.seq), meaning->error, meaning->hard);
    conn_after(s, c, (struct trace_cause){.call = "ICMP error"});
    return why;
}

static enum drop_reason ingress_icmp(ut_stack *s, struct rx *rx)
{
    struct icmp_msg m;
    enum drop_reason why =
        rx->ip.version == 4 ? icmp4_parse(&rx->ip, &m) : icmp6_parse(&rx->ip, &m);
    if (why != DROP_none)
        return why;
    struct icmp_meaning meaning = icmp_in_meaning(&m);
    /* RFC 4291 2.5.2: only who looks for a duplicate of its address sends from none. */
    if (meaning.action != ICMP_DO_NEIGHBOUR && ipaddr_is_unspecified(&rx->ip.src))
        return DROP_ip_source;
    switch (meaning.action) {
    case ICMP_DO_ECHO:
        return ingress_echo(s, rx, &m);
    case ICMP_DO_ERROR:
    case ICMP_DO_TOO_BIG:
        return ingress_icmp_error(s, rx, &m, &meaning);
    case ICMP_DO_NEIGHBOUR:
        if (!stack_is_ethernet(s))
            return DROP_icmp_ignored;
        resolve_ndp_arrive(s, rx, &m);
        return DROP_none;
    case ICMP_DO_IGNORE:
        break;
    }
    return DROP_icmp_ignored;
}

/* ---- IP and below --------------------------------------------------------------------------- */

/* Who may have sent it, and is it for us? RFC 1122 3.2.1.3, RFC 4291 2.5 to 2.8. */
static enum drop_reason ingress_addresses(ut_stack *s, const struct rx *rx)
{
    const struct ip_hdr *ip = &rx->ip;
    struct addr_table *own = &s->addresses;
    if (ipaddr_equal(&ip->src, &ip->dst))
        return DROP_ip_land;
    /* RFC 4942 2.2: ::ffff:0:0/96 means IPv4 inside, so in an IPv6 header it would be a disguise.
     */
    if (ip->version == 6 && ipaddr_is_v4(&ip->src))
        return DROP_ip_source;
    if (ip->version == 6 && ipaddr_is_v4(&ip->dst))
        return DROP_ip_not_ours;
    bool is_probe = ip->proto == IP_PROTO_ICMPV6 && ipaddr_is_unspecified(&ip->src);
    if ((addr_is_bad_source(own, &ip->src) && !is_probe) || addr_is_ours(own, &ip->src))
        return DROP_ip_source;
    if (addr_is_ours(own, &ip->dst))
        return DROP_none;
    if (ip->version == 6 && ip->proto == IP_PROTO_ICMPV6) {
        /* A tentative address hears neighbour discovery only (RFC 4862 5.4). */
        if (addr_is_our_group(own, &ip->dst) || addr_find(own, &ip->dst) != NULL)
            return DROP_none;
    }
    return DROP_ip_not_ours;
}

/* Whether it was the one that a datagram waited for; then `rx` is about that. */
static bool ingress_fragment(ut_stack *s, struct rx *rx)
{
    enum frag_result result = frag_add(&s->fragments, &rx->ip, s->now, s->env.drops);
    deadline_set(&s->heap, &s->fragments_timer, frag_next(&s->fragments));
    if (result != FRAG_WHOLE)
        return false;
    stack_count(s, COUNTER_reassembled);
    rx->is_reassembled = true;
    return true;
}

static enum drop_reason ingress_upper(ut_stack *s, struct rx *rx)
{
    enum drop_reason why = ingress_addresses(s, rx);
    if (why != DROP_none)
        return why;
    if (UT_UNLIKELY(rx->ip.is_fragment) && !ingress_fragment(s, rx))
        return DROP_none;
    switch (rx->ip.proto) {
    case IP_PROTO_TCP:
        return ingress_tcp(s, rx);
    case IP_PROTO_ICMP:
        return rx->ip.version == 4 ? ingress_icmp(s, rx) : DROP_ip_protocol;
    case IP_PROTO_ICMPV6:
        return rx->ip.version == 6 ? ingress_icmp(s, rx) : DROP_ip_protocol;
    default:
        return DROP_ip_protocol;
    }
}

static enum drop_reason ingress_ether(ut_stack *s, struct rx *rx)
{
    const struct link_frame *f = rx->frame;
    enum drop_reason why = ether_parse(f->data, f->len, &rx->ether);
    if (why != DROP_none)
        return why;
    rx->is_unicast = memcmp(rx->ether.dst.b, s->link->mac, sizeof rx->ether.dst.b) == 0;
    if ((!rx->is_unicast && !macaddr_is_group(&rx->ether.dst)) || macaddr_is_group(&rx->ether.src))
        return DROP_frame_not_ours;
    const uint8_t *payload = f->data + ETHER_HEADER_LEN;
    size_t len = f->len - ETHER_HEADER_LEN;
    switch (rx->ether.type) {
    case ETHER_TYPE_IPV4:
        why = ipv4_parse(payload, len, &rx->ip);
        break;
    case ETHER_TYPE_IPV6:
        why = ipv6_parse(payload, len, &rx->ip);
        break;
    case ETHER_TYPE_ARP:
        resolve_arp_arrive(s, rx, payload, len);
        return DROP_none;
    default:
        return DROP_ethertype_unknown;
    }
    return why != DROP_none ? why : ingress_upper(s, rx);
}

static enum drop_reason ingress_ip(ut_stack *s, struct rx *rx)
{
    const struct link_frame *f = rx->frame;
    rx->is_unicast = true;
    enum drop_reason why = ipv4_parse(f->data, f->len, &rx->ip);
    if (why == DROP_ip_version)
        why = ipv6_parse(f->data, f->len, &rx->ip);
    return why != DROP_none ? why : ingress_upper(s, rx);
}

void ingress_frame(ut_stack *s, struct link_frame *frame)
{
    struct rx rx;
    if (UT_UNLIKELY(frame->posted != 0) && !ingress_may_lie_apart(s, frame))
        link_join(s->link, frame);
    rx.frame = frame;
    rx.is_reassembled = false;
    enum drop_reason why = DROP_frame_truncated;
    if (!(frame->offload.flags & LINK_TRUNCATED))
        why = stack_is_ethernet(s) ? ingress_ether(s, &rx) : ingress_ip(s, &rx);
    if (why != DROP_none)
        stack_drop(s, why);
}
