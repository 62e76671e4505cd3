/* resolve.c: ARP and neighbour discovery on the wire; see resolve.h.
 *
 * Called by egress.c for stations, by ingress.c with what arrives, by poll.c with deadlines.
 */
#include "stack/resolve.h"

#include "stack/egress.h"
#include "wire/arp.h"
#include "wire/icmpv6.h"

#define DAD_TIME \
    NS_PER_S /* RFC 4862 5.1: one solicitation, RetransTimer later the address is ours */
#define NDP_HOP_LIMIT 255 /* RFC 4861 7.1 */

static struct macaddr resolve_own_mac(const ut_stack *s)
{
    struct macaddr mac;
    memcpy(mac.b, s->link->mac, sizeof mac.b);
    return mac;
}

/* ---- questions and answers going out -------------------------------------------------------- */

static void resolve_send_arp(ut_stack *s, uint16_t op, const struct ipaddr *sender,
                             const struct ipaddr *target, const struct macaddr *to)
{
    static const struct macaddr everyone = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct macaddr own = resolve_own_mac(s);
    struct ether_hdr ether = {
        .dst = to != NULL ? *to : everyone, .src = own, .type = ETHER_TYPE_ARP};
    struct arp_msg m = {.op = op, .sender_mac = own, .sender_ip = *sender, .target_ip = *target};
    if (op == ARP_REPLY && to != NULL)
        m.target_mac = *to;
    struct link_out *o = link_reserve(s->link);
    ether_write(o->head, &ether);
    arp_write(o->head + ETHER_HEADER_LEN, &m);
    o->head_len = ETHER_HEADER_LEN + ARP_LEN;
    stack_count(s, op == ARP_REQUEST ? COUNTER_neighbour_questions_out
                                     : COUNTER_neighbour_answers_out);
}

/* `to` NULL: the station address of the multicast group dst. */
static void resolve_send_ndp(ut_stack *s, const struct ndp_msg *m, const struct ipaddr *src,
                             const struct ipaddr *dst, const struct macaddr *to)
{
    struct ip_hdr ip = {.src = *src,
                        .dst = *dst,
                        .version = 6,
                        .proto = IP_PROTO_ICMPV6,
                        .ttl = NDP_HOP_LIMIT,
                        .payload_len = m->has_mac ? 32 : 24};
    struct macaddr group = to != NULL ? *to : macaddr_of_multicast_v6(dst);
    struct link_out *o = egress_begin(s, &ip, &group);
    o->head_len += (uint32_t)ndp_write(o->head + o->head_len, m, src, dst);
    stack_count(s, m->type == NDP_SOLICITATION ? COUNTER_neighbour_questions_out
                                               : COUNTER_neighbour_answers_out);
}

/* Puts a question of the neighbour cache on the wire. */
static void resolve_ask(ut_stack *s, const struct neigh_ask *ask)
{
    if (!ask->is_due)
        return;
    const struct macaddr *to = ask->is_unicast ? &ask->to : NULL;
    const struct addr *source = addr_source_for(&s->addresses, &ask->target);
    if (source == NULL)
        return; /* no usable address of its family: asked again in a second */
    if (ipaddr_is_v4(&ask->target)) {
        resolve_send_arp(s, ARP_REQUEST, &source->ip, &ask->target, to);
        return;
    }
    struct ndp_msg m = {.type = NDP_SOLICITATION,
                        .target = ask->target,
                        .has_mac = true,
                        .mac = resolve_own_mac(s)};
    struct ipaddr group = ipaddr_solicited_node(&ask->target);
    resolve_send_ndp(s, &m, &source->ip, to != NULL ? &ask->target : &group, to);
}

/* ---- stations for packets ------------------------------------------------------------------- */

/* Connections whose entry has been resolved or has gone go on: output is asked for again. */
static void resolve_wake(ut_stack *s)
{
    struct list still = {&still, &still};
    while (!list_is_empty(&s->waiting)) {
        struct conn *c = UT_CONTAINER_OF(s->waiting.next, struct conn, work);
        const struct neigh *n = neigh_at(&s->neighbours, c->neighbour);
        list_remove(&c->work);
        if (n != NULL && !neigh_is_resolved(n)) {
            list_append(&still, &c->work);
            continue;
        }
        c->is_waiting = false;
        conn_mark_dirty(s, c);
    }
    list_take_all(&s->waiting, &still);
}

const struct macaddr *resolve_station(ut_stack *s, const struct ipaddr *remote, neigh_ref *ref)
{
    struct neigh_ask ask;
    struct neigh *n = neigh_at(&s->neighbours, *ref);
    if (UT_UNLIKELY(n == NULL)) {
        struct ipaddr next_hop;
        *ref = 0;
        if (!route_next_hop(&s->routes, &s->addresses, remote, &next_hop) ||
            !stack_reserve_deadline(s))
            return NULL;
        n = neigh_get(&s->neighbours, &next_hop, s->now, &ask);
        if (n == NULL)
            return NULL;
        *ref = neigh_ref_of(n);
        resolve_ask(s, &ask);
    }
    return neigh_use(&s->neighbours, n, s->now);
}

const struct macaddr *resolve_reply_station(ut_stack *s, const struct ipaddr *remote)
{
    struct ipaddr next_hop;
    neigh_ref ref = 0;
    if (s->neighbours.pool.in_use < NEIGH_MAX / 2)
        return resolve_station(s, remote, &ref);
    if (!route_next_hop(&s->routes, &s->addresses, remote, &next_hop))
        return NULL;
    struct neigh *n = neigh_find(&s->neighbours, &next_hop);
    return n != NULL ? neigh_use(&s->neighbours, n, s->now) : NULL;
}

void resolve_learn(ut_stack *s, const struct rx *rx)
{
    struct ipaddr next_hop;
    if (!stack_is_ethernet(s) || !stack_reserve_deadline(s) ||
        !route_next_hop(&s->routes, &s->addresses, &rx->ip.src, &next_hop) ||
        !ipaddr_equal(&next_hop, &rx->ip.src))
        return;
    const struct neigh *n = neigh_find(&s->neighbours, &next_hop);
    if (n != NULL && neigh_is_resolved(n))
        return;
    struct neigh_news news = {
        .ip = next_hop, .mac = rx->ether.src, .may_create = true, .confirms = true};
    if (neigh_learn(&s->neighbours, &news, s->now))
        resolve_wake(s);
}

/* The station did not answer. */
static void resolve_failed(ut_stack *s, const struct neigh *gone)
{
    neigh_ref ref = neigh_ref_of(gone);
    struct list failed = {&failed, &failed};
    list_take_all(&failed, &s->waiting);
    while (!list_is_empty(&failed)) {
        struct conn *c = UT_CONTAINER_OF(failed.next, struct conn, work);
        list_remove(&c->work);
        if (c->neighbour != ref) {
            list_append(&s->waiting, &c->work);
            continue;
        }
        c->is_waiting = false;
        c->neighbour = 0;
        /* RFC 1122 2.4, RFC 9293 3.9.2.2: an opening connection fails; one that was open has its
         * own timers, which go on with what is lost here. */
        if (c->tcb.state == TCP_SYN_SENT)
            conn_abort(s, c, UT_E_HOST_UNREACHABLE, "no answer on the link");
        else
            egress_lose(s, c);
    }
}

void resolve_timeout(ut_stack *s, struct deadline_node *node)
{
    struct neigh *n = UT_CONTAINER_OF(node, struct neigh, timer);
    struct neigh_ask ask;
    if (neigh_timeout(&s->neighbours, n, s->now, &ask))
        resolve_ask(s, &ask);
    else
        resolve_failed(s, n);
}

/* ---- what arrives --------------------------------------------------------------------------- */

static void resolve_news(ut_stack *s, const struct neigh_news *news)
{
    if (stack_reserve_deadline(s) && neigh_learn(&s->neighbours, news, s->now))
        resolve_wake(s);
}

/* Somebody else uses an address of ours: RFC 4862 5.4.3 and 5.4.4 while it is being checked;
 * afterwards it is only counted (RFC 5227 2.4 leaves that choice). */
static bool resolve_is_conflict(ut_stack *s, const struct ipaddr *ip, const struct macaddr *mac)
{
    struct macaddr own = resolve_own_mac(s);
    struct addr *a = addr_find(&s->addresses, ip);
    if (a == NULL || macaddr_equal(mac, &own))
        return false;
    stack_count(s, COUNTER_address_conflicts);
    if (a->phase == ADDR_TENTATIVE)
        a->phase = ADDR_DUPLICATE;
    return true;
}

void resolve_arp_arrive(ut_stack *s, struct rx *rx, const uint8_t *payload, size_t len)
{
    struct arp_msg m;
    enum drop_reason why = arp_parse(payload, len, &m);
    if (why == DROP_none && (macaddr_is_group(&m.sender_mac) || m.op > ARP_REPLY))
        why = DROP_arp_malformed;
    if (why != DROP_none) {
        stack_drop(s, why);
        return;
    }
    if (resolve_is_conflict(s, &m.sender_ip, &m.sender_mac))
        return;
    bool is_for_us = addr_is_ours(&s->addresses, &m.target_ip);
    if (!addr_is_bad_source(&s->addresses, &m.sender_ip)) {
        /* RFC 826: known pairs are updated; a pair is added when we are the target. */
        struct neigh_news news = {.ip = m.sender_ip,
                                  .mac = m.sender_mac,
                                  .may_create = is_for_us && m.op == ARP_REQUEST,
                                  .confirms = is_for_us && m.op == ARP_REPLY && rx->is_unicast};
        resolve_news(s, &news);
    }
    if (is_for_us && m.op == ARP_REQUEST)
        resolve_send_arp(s, ARP_REPLY, &m.target_ip, &m.sender_ip, &m.sender_mac);
}

static void resolve_solicited(ut_stack *s, const struct rx *rx, const struct ndp_msg *m)
{
    static const struct ipaddr all_nodes = {.b = {0xff, 0x02, [15] = 1}};
    struct addr *a = addr_find(&s->addresses, &m->target);
    if (a == NULL || a->phase == ADDR_DUPLICATE)
        return;
    bool is_probe = ipaddr_is_unspecified(&rx->ip.src);
    if (a->phase == ADDR_TENTATIVE) {
        /* RFC 4862 5.4.3: another station probes for the same address. */
        if (is_probe)
            resolve_is_conflict(s, &m->target, &rx->ether.src);
        return;
    }
    struct ndp_msg answer = {.type = NDP_ADVERTISEMENT,
                             .target = m->target,
                             .solicited = !is_probe,
                             .override = true,
                             .has_mac = true,
                             .mac = resolve_own_mac(s)};
    if (is_probe) {
        resolve_send_ndp(s, &answer, &m->target, &all_nodes, NULL); /* RFC 4861 7.2.4 */
        return;
    }
    if (m->has_mac) {
        struct neigh_news news = {.ip = rx->ip.src, .mac = m->mac, .may_create = true};
        resolve_news(s, &news);
    }
    resolve_send_ndp(s, &answer, &m->target, &rx->ip.src, &rx->ether.src);
}

void resolve_ndp_arrive(ut_stack *s, struct rx *rx, const struct icmp_msg *icmp)
{
    struct ndp_msg m;
    enum drop_reason why = DROP_icmp_ignored; /* routers' messages: addresses are given by hand */
    if (icmp->type == NDP_SOLICITATION || icmp->type == NDP_ADVERTISEMENT)
        why = ndp_parse(&rx->ip, icmp, &m);
    if (why == DROP_none && m.has_mac && macaddr_is_group(&m.mac))
        why = DROP_ndp_malformed;
    if (why != DROP_none) {
        stack_drop(s, why);
        return;
    }
    if (m.type == NDP_SOLICITATION) {
        resolve_solicited(s, rx, &m);
        return;
    }
    const struct macaddr *station = m.has_mac ? &m.mac : &rx->ether.src;
    if (resolve_is_conflict(s, &m.target, station))
        return;
    struct neigh_news news = {
        .ip = m.target, .mac = *station, .confirms = m.solicited, .keep_mac = !m.override};
    resolve_news(s, &news);
}

/* ---- our own addresses ---------------------------------------------------------------------- */

/* Tells the link that the address is ours now: RFC 5227 3, RFC 4861 7.2.6. */
static void resolve_announce(ut_stack *s, const struct addr *a)
{
    static const struct ipaddr all_nodes = {.b = {0xff, 0x02, [15] = 1}};
    if (ipaddr_is_v4(&a->ip)) {
        resolve_send_arp(s, ARP_REQUEST, &a->ip, &a->ip, NULL);
        return;
    }
    struct ndp_msg m = {.type = NDP_ADVERTISEMENT,
                        .target = a->ip,
                        .override = true,
                        .has_mac = true,
                        .mac = resolve_own_mac(s)};
    resolve_send_ndp(s, &m, &a->ip, &all_nodes, NULL);
}

/* RFC 4862 5.4.2: asks from the unspecified address whether somebody has it. */
static void resolve_probe(ut_stack *s, struct addr *a)
{
    static const struct ipaddr unspecified;
    a->phase = ADDR_TENTATIVE;
    a->until = time_after(s->now, DAD_TIME);
    deadline_set(&s->heap, &s->addresses_timer, u64_min(s->addresses_timer.at, a->until));
    struct ndp_msg m = {.type = NDP_SOLICITATION, .target = a->ip};
    struct ipaddr group = ipaddr_solicited_node(&a->ip);
    resolve_send_ndp(s, &m, &unspecified, &group, NULL);
}

static int resolve_add(ut_stack *s, const struct ipaddr *ip, int prefix_len, bool check)
{
    struct addr *a = addr_add(&s->addresses, ip, prefix_len);
    if (a == NULL)
        return -UT_E_TOO_MANY;
    if (!stack_is_ethernet(s))
        return 0;
    if (check && !ipaddr_is_v4(ip))
        resolve_probe(s, a);
    else
        resolve_announce(s, a);
    return 0;
}

/* Every IPv6 interface has a link-local address (RFC 4291 2.1); neighbours are asked from it. */
static int resolve_add_link_local(ut_stack *s, bool check)
{
    struct macaddr mac = resolve_own_mac(s);
    struct ipaddr ip = addr_link_local(&mac);
    if (addr_find(&s->addresses, &ip) != NULL)
        return 0;
    int code = resolve_add(s, &ip, 64, check);
    if (code == 0)
        addr_find(&s->addresses, &ip)->is_automatic = true;
    return code;
}

int resolve_address_add(ut_stack *s, const struct ipaddr *ip, int prefix_len, bool check)
{
    if (ipaddr_is_unspecified(ip) || ipaddr_is_multicast(ip) || ipaddr_is_loopback(ip) ||
        ipaddr_is_limited_broadcast(ip) || prefix_len < 0 ||
        prefix_len > (ipaddr_is_v4(ip) ? 32 : 128))
        return -UT_E_INVALID;
    int code = resolve_add(s, ip, prefix_len, check);
    if (code == 0 && stack_is_ethernet(s) && !ipaddr_is_v4(ip))
        code = resolve_add_link_local(s, check);
    return code;
}

int resolve_address_state(ut_stack *s, const struct ipaddr *ip)
{
    const struct addr *a = addr_find(&s->addresses, ip);
    if (a == NULL)
        return -UT_E_ADDRESS_NOT_AVAILABLE;
    return a->phase == ADDR_USABLE ? 0 : a->phase == ADDR_TENTATIVE ? 1 : -UT_E_ADDRESS_IN_USE;
}

int resolve_gateway_set(ut_stack *s, const struct ipaddr *ip)
{
    if (ipaddr_is_multicast(ip) || ipaddr_is_loopback(ip) || addr_is_broadcast(&s->addresses, ip))
        return -UT_E_INVALID;
    route_set_gateway(&s->routes, ip);
    /* Connections look their station up anew. */
    for (uint32_t i = 0; i < s->conns.fresh; i++) {
        struct conn *c = conn_at(s, i);
        if (c == NULL)
            continue;
        c->neighbour = 0;
    }
    resolve_wake(s);
    return 0;
}

void resolve_addresses_timeout(ut_stack *s)
{
    ns_t next = TIME_NEVER;
    for (uint32_t i = 0; i < s->addresses.count; i++) {
        struct addr *a = &s->addresses.item[i];
        if (a->phase != ADDR_TENTATIVE)
            continue;
        if (a->until <= s->now) {
            a->phase = ADDR_USABLE;
            resolve_announce(s, a);
        } else {
            next = u64_min(next, a->until);
        }
    }
    deadline_set(&s->heap, &s->addresses_timer, next);
}
