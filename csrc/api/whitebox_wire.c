/* whitebox_wire.c: the half of whitebox_base.h that is about wire/; never in the shipped module.
 */
#include "api/whitebox_base.h"

#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/dump.h"
#include "wire/ether.h"
#include "wire/icmp.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/text_at.h"

_Static_assert((int)WB_ICMP_OTHER == (int)ICMP_OTHER, "one enum, two names");

static struct ipaddr wb_addr(const uint8_t a[16]) { return ipaddr_from_v6(a); }

static uint32_t wb_offset(const uint8_t *p, const uint8_t *inside)
{
    return inside == NULL ? WB_NOWHERE : (uint32_t)(inside - p);
}

uint32_t wb_text_at(const uint8_t *p, size_t len) { return text_at(p, len); }

/* -- wire/addr */

bool wb_addr_is_v4(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_v4(&x);
}

bool wb_addr_is_unspecified(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_unspecified(&x);
}

bool wb_addr_is_multicast(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_multicast(&x);
}

bool wb_addr_is_limited_broadcast(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_limited_broadcast(&x);
}

bool wb_addr_is_loopback(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_loopback(&x);
}

bool wb_addr_is_link_local(const uint8_t a[16])
{
    struct ipaddr x = wb_addr(a);
    return ipaddr_is_link_local(&x);
}

bool wb_addr_same_prefix(const uint8_t a[16], const uint8_t b[16], int bits)
{
    struct ipaddr x = wb_addr(a), y = wb_addr(b);
    return ipaddr_same_prefix(&x, &y, bits);
}

void wb_addr_solicited_node(const uint8_t a[16], uint8_t out[16])
{
    struct ipaddr x = wb_addr(a);
    struct ipaddr group = ipaddr_solicited_node(&x);
    memcpy(out, group.b, 16);
}

/* -- wire/checksum */

static const struct checksum_impl *wb_checksum_at(uint32_t which)
{
    const struct checksum_impl *const *list = checksum_available();
    for (uint32_t i = 0; i < which && *list != NULL; i++)
        list++;
    return *list;
}

const char *wb_checksum_name(uint32_t which)
{
    const struct checksum_impl *impl = wb_checksum_at(which);
    return impl == NULL ? NULL : impl->name;
}

uint32_t wb_checksum_with(uint32_t which, const uint8_t *data, size_t len, uint32_t sum)
{
    const struct checksum_impl *impl = wb_checksum_at(which);
    UT_ASSERT(impl != NULL);
    return impl->add(data, len, sum);
}

uint32_t wb_checksum_add(const uint8_t *data, size_t len, uint32_t sum)
{
    checksum_init();
    return checksum_add(data, len, sum);
}

uint32_t wb_checksum_add_at(const uint8_t *data, size_t len, size_t offset, uint32_t sum)
{
    return checksum_add_at(data, len, offset, sum);
}

uint16_t wb_checksum_fold(uint32_t sum) { return checksum_fold(sum); }

uint32_t wb_checksum_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                            uint32_t len)
{
    struct ipaddr s = wb_addr(src), d = wb_addr(dst);
    return checksum_pseudo(&s, &d, proto, len);
}

/* -- wire/ether, wire/arp */

int wb_ether_parse(const uint8_t *p, size_t len, struct wb_ether *out)
{
    struct ether_hdr h = {0};
    enum drop_reason why = ether_parse(p, len, &h);
    memcpy(out->dst, h.dst.b, 6);
    memcpy(out->src, h.src.b, 6);
    out->type = h.type;
    return (int)why;
}

void wb_ether_write(uint8_t *to, const struct wb_ether *h)
{
    struct ether_hdr x = {.type = h->type};
    memcpy(x.dst.b, h->dst, 6);
    memcpy(x.src.b, h->src, 6);
    ether_write(to, &x);
}

bool wb_mac_is_group(const uint8_t mac[6])
{
    struct macaddr m;
    memcpy(m.b, mac, 6);
    return macaddr_is_group(&m);
}

void wb_mac_of_multicast_v6(const uint8_t group[16], uint8_t out[6])
{
    struct ipaddr g = wb_addr(group);
    struct macaddr m = macaddr_of_multicast_v6(&g);
    memcpy(out, m.b, 6);
}

int wb_arp_parse(const uint8_t *p, size_t len, struct wb_arp *out)
{
    struct arp_msg m = {0};
    enum drop_reason why = arp_parse(p, len, &m);
    out->op = m.op;
    memcpy(out->sender_mac, m.sender_mac.b, 6);
    memcpy(out->target_mac, m.target_mac.b, 6);
    memcpy(out->sender_ip, m.sender_ip.b, 16);
    memcpy(out->target_ip, m.target_ip.b, 16);
    return (int)why;
}

void wb_arp_write(uint8_t *to, const struct wb_arp *m)
{
    struct arp_msg x = {.op = m->op};
    memcpy(x.sender_mac.b, m->sender_mac, 6);
    memcpy(x.target_mac.b, m->target_mac, 6);
    x.sender_ip = wb_addr(m->sender_ip);
    x.target_ip = wb_addr(m->target_ip);
    arp_write(to, &x);
}

/* -- wire/ipv4, wire/ipv6 */

static void wb_ip_out(const uint8_t *p, const struct ip_hdr *h, struct wb_ip *out)
{
    *out = (struct wb_ip){
        .version = h->version,
        .proto = h->proto,
        .ttl = h->ttl,
        .dscp_ecn = h->dscp_ecn,
        .flow_label = h->flow_label,
        .id = h->id,
        .is_fragment = h->is_fragment,
        .more_fragments = h->more_fragments,
        .has_fragment_header = h->has_fragment_header,
        .fragment_offset = h->fragment_offset,
        .fragment_id = h->fragment_id,
        .payload_at = wb_offset(p, h->payload),
        .payload_len = h->payload_len,
    };
    memcpy(out->src, h->src.b, 16);
    memcpy(out->dst, h->dst.b, 16);
}

static struct ip_hdr wb_ip_in(const struct wb_ip *h)
{
    return (struct ip_hdr){
        .src = wb_addr(h->src),
        .dst = wb_addr(h->dst),
        .version = h->version,
        .proto = h->proto,
        .ttl = h->ttl,
        .dscp_ecn = h->dscp_ecn,
        .flow_label = h->flow_label,
        .id = (uint16_t)h->id,
        .payload_len = h->payload_len,
    };
}

int wb_ipv4_parse(const uint8_t *p, size_t len, struct wb_ip *out)
{
    struct ip_hdr h = {0};
    enum drop_reason why = ipv4_parse(p, len, &h);
    wb_ip_out(p, &h, out);
    return (int)why;
}

int wb_ipv6_parse(const uint8_t *p, size_t len, struct wb_ip *out)
{
    struct ip_hdr h = {0};
    enum drop_reason why = ipv6_parse(p, len, &h);
    wb_ip_out(p, &h, out);
    return (int)why;
}

void wb_ipv4_write(uint8_t *to, const struct wb_ip *h)
{
    struct ip_hdr x = wb_ip_in(h);
    ipv4_write(to, &x);
}

void wb_ipv6_write(uint8_t *to, const struct wb_ip *h)
{
    struct ip_hdr x = wb_ip_in(h);
    ipv6_write(to, &x);
}

/* -- wire/icmp, wire/icmpv6 */

static enum drop_reason wb_icmp_read(const uint8_t *p, size_t len, struct ip_hdr *ip,
                                     struct icmp_msg *m)
{
    bool is_v6 = len != 0 && p[0] >> 4 == 6;
    enum drop_reason why = is_v6 ? ipv6_parse(p, len, ip) : ipv4_parse(p, len, ip);
    if (why != DROP_none)
        return why;
    return is_v6 ? icmp6_parse(ip, m) : icmp4_parse(ip, m);
}

int wb_icmp_parse(const uint8_t *p, size_t len, struct wb_icmp *out)
{
    struct ip_hdr ip = {0};
    struct icmp_msg m = {0};
    enum drop_reason why = wb_icmp_read(p, len, &ip, &m);
    *out = (struct wb_icmp){
        .kind = (int)m.kind,
        .type = m.type,
        .code = m.code,
        .echo_id = m.echo_id,
        .echo_seq = m.echo_seq,
        .mtu = m.mtu,
        .body_at = wb_offset(p, m.body),
        .body_len = m.body_len,
    };
    return (int)why;
}

int wb_icmp_quote(const uint8_t *p, size_t len, struct wb_quote *out)
{
    struct ip_hdr ip = {0};
    struct icmp_msg m = {0};
    struct icmp_quote q = {0};
    enum drop_reason why = wb_icmp_read(p, len, &ip, &m);
    if (why == DROP_none)
        why = icmp_quote_parse(&m, ip.version, &q);
    *out = (struct wb_quote){.sport = q.sport, .dport = q.dport, .seq = q.seq};
    memcpy(out->src, q.src.b, 16);
    memcpy(out->dst, q.dst.b, 16);
    return (int)why;
}

int wb_ndp_parse(const uint8_t *p, size_t len, struct wb_ndp *out)
{
    struct ip_hdr ip = {0};
    struct icmp_msg m = {0};
    struct ndp_msg n = {0};
    enum drop_reason why = wb_icmp_read(p, len, &ip, &m);
    if (why == DROP_none)
        why = ndp_parse(&ip, &m, &n);
    *out = (struct wb_ndp){
        .type = n.type,
        .router = n.router,
        .solicited = n.solicited,
        .override = n.override,
        .has_mac = n.has_mac,
    };
    memcpy(out->target, n.target.b, 16);
    memcpy(out->mac, n.mac.b, 6);
    return (int)why;
}

size_t wb_icmp_write_echo(uint8_t *to, const uint8_t *p, size_t len)
{
    struct ip_hdr ip = {0};
    struct icmp_msg m = {0};
    if (wb_icmp_read(p, len, &ip, &m) != DROP_none)
        return 0;
    return ip.version == 4 ? icmp4_write_echo(to, &m) : icmp6_write_echo(to, &m, &ip.dst, &ip.src);
}

size_t wb_ndp_write(uint8_t *to, const struct wb_ndp *m, const uint8_t src[16],
                    const uint8_t dst[16])
{
    struct ipaddr s = wb_addr(src), d = wb_addr(dst);
    struct ndp_msg x = {
        .type = m->type,
        .target = wb_addr(m->target),
        .router = m->router,
        .solicited = m->solicited,
        .override = m->override,
        .has_mac = m->has_mac,
    };
    memcpy(x.mac.b, m->mac, 6);
    return ndp_write(to, &x, &s, &d);
}

/* -- wire/tcp_opt, wire/tcp, wire/dump */

static void wb_opts_out(const struct tcp_opts *o, struct wb_opts *out)
{
    *out = (struct wb_opts){
        .has_mss = o->has_mss,
        .has_wscale = o->has_wscale,
        .has_ts = o->has_ts,
        .sack_permitted = o->sack_permitted,
        .mss = o->mss,
        .wscale = o->wscale,
        .sack_count = o->sack_count,
        .ts_val = o->ts_val,
        .ts_ecr = o->ts_ecr,
    };
    for (uint32_t i = 0; i < o->sack_count; i++) {
        out->sack[2 * i] = o->sack[i].left.v;
        out->sack[2 * i + 1] = o->sack[i].right.v;
    }
}

static struct tcp_opts wb_opts_in(const struct wb_opts *o)
{
    struct tcp_opts x = {
        .has_mss = o->has_mss,
        .has_wscale = o->has_wscale,
        .has_ts = o->has_ts,
        .sack_permitted = o->sack_permitted,
        .mss = o->mss,
        .wscale = o->wscale,
        .sack_count = o->sack_count,
        .ts_val = o->ts_val,
        .ts_ecr = o->ts_ecr,
    };
    for (uint32_t i = 0; i < TCP_OPT_MAX_SACK; i++) {
        x.sack[i].left = seq_make(o->sack[2 * i]);
        x.sack[i].right = seq_make(o->sack[2 * i + 1]);
    }
    return x;
}

static struct tcp_seg wb_seg_in(const struct wb_seg *s)
{
    return (struct tcp_seg){
        .sport = s->sport,
        .dport = s->dport,
        .flags = s->flags,
        .wnd = s->wnd,
        .urp = s->urp,
        .seq = seq_make(s->seq),
        .ack = seq_make(s->ack),
        .len = s->len,
        .opt = wb_opts_in(&s->opt),
    };
}

int wb_tcp_opt_parse(const uint8_t *p, size_t len, struct wb_opts *out)
{
    struct tcp_opts o;
    memset(&o, 0xa5, sizeof o); /* the parser must not count on a clean start */
    enum drop_reason why = tcp_opt_parse(p, len, &o);
    wb_opts_out(&o, out);
    return (int)why;
}

size_t wb_tcp_opt_write(uint8_t *to, const struct wb_opts *o)
{
    struct tcp_opts x = wb_opts_in(o);
    return tcp_opt_write(to, &x);
}

size_t wb_tcp_opt_length(const struct wb_opts *o)
{
    struct tcp_opts x = wb_opts_in(o);
    return tcp_opt_length(&x);
}

int wb_tcp_parse(const uint8_t *p, size_t len, struct wb_seg *out)
{
    struct tcp_seg s = {0};
    enum drop_reason why = tcp_parse(p, len, &s);
    *out = (struct wb_seg){
        .sport = s.sport,
        .dport = s.dport,
        .wnd = s.wnd,
        .urp = s.urp,
        .flags = s.flags,
        .seq = s.seq.v,
        .ack = s.ack.v,
        .data_at = wb_offset(p, s.data),
        .len = s.len,
    };
    wb_opts_out(&s.opt, &out->opt);
    return (int)why;
}

size_t wb_tcp_write(uint8_t *to, const struct wb_seg *s)
{
    struct tcp_seg x = wb_seg_in(s);
    return tcp_write(to, &x);
}

bool wb_tcp_checksum_ok(const uint8_t src[16], const uint8_t dst[16], const uint8_t *p, size_t len)
{
    struct ipaddr s = wb_addr(src), d = wb_addr(dst);
    return tcp_checksum_ok(&s, &d, p, len);
}

void wb_tcp_checksum_set(uint8_t *tcp, size_t header_len, size_t len, const uint8_t src[16],
                         const uint8_t dst[16])
{
    struct ipaddr s = wb_addr(src), d = wb_addr(dst);
    uint32_t payload_len = (uint32_t)(len - header_len);
    uint32_t payload_sum = checksum_add(tcp + header_len, payload_len, 0);
    tcp_checksum_set(tcp, payload_len, payload_sum, &s, &d);
}

void wb_tcp_checksum_partial(uint8_t *tcp, uint32_t len, const uint8_t src[16],
                             const uint8_t dst[16])
{
    struct ipaddr s = wb_addr(src), d = wb_addr(dst);
    tcp_checksum_partial(tcp, len, &s, &d);
}

size_t wb_dump_tcp(char *to, size_t cap, const struct wb_seg *s, uint32_t seq_base,
                   uint32_t ack_base)
{
    struct tcp_seg x = wb_seg_in(s);
    return dump_tcp(to, cap, &x, seq_make(seq_base), seq_make(ack_base));
}

size_t wb_dump_flags(char *to, size_t cap, uint16_t flags) { return dump_flags(to, cap, flags); }
