/* addr.c: the table of our addresses.
 *
 * Called per packet (is it for us?) and per connect (which source?). A stack has a handful of
 * addresses, so a search from the front is the fastest there is.
 */
#include "ip/addr.h"

struct addr *addr_find(struct addr_table *t, const struct ipaddr *ip)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (ipaddr_equal(&t->item[i].ip, ip))
            return &t->item[i];
    return NULL;
}

/* All ones after the prefix; RFC 3021: a prefix of 31 bits has none. */
static struct ipaddr addr_broadcast_of(const struct ipaddr *ip, int prefix_len)
{
    struct ipaddr b = {.q = {0, 0}};
    if (!ipaddr_is_v4(ip) || prefix_len >= 31)
        return b;
    b = *ip;
    for (int bit = prefix_len; bit < 32; bit++)
        b.b[12 + bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    return b;
}

struct addr *addr_add(struct addr_table *t, const struct ipaddr *ip, int prefix_len)
{
    UT_ASSERT(prefix_len >= 0 && prefix_len <= (ipaddr_is_v4(ip) ? 32 : 128));
    struct addr *a = addr_find(t, ip);
    if (a == NULL) {
        if (t->count == ADDR_MAX)
            return NULL;
        a = &t->item[t->count++];
    }
    *a = (struct addr){.ip = *ip,
                       .broadcast = addr_broadcast_of(ip, prefix_len),
                       .prefix_len = (uint8_t)prefix_len,
                       .until = TIME_NEVER};
    return a;
}

bool addr_is_ours(const struct addr_table *t, const struct ipaddr *ip)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (ipaddr_equal(&t->item[i].ip, ip))
            return t->item[i].phase == ADDR_USABLE;
    return false;
}

bool addr_is_our_group(const struct addr_table *t, const struct ipaddr *group)
{
    static const struct ipaddr all_nodes = {.b = {0xff, 0x02, [15] = 1}};
    if (ipaddr_equal(group, &all_nodes))
        return true;
    /* Tentative addresses too: that is how a duplicate is noticed (RFC 4862 5.4.2). */
    for (uint32_t i = 0; i < t->count; i++) {
        if (ipaddr_is_v4(&t->item[i].ip))
            continue;
        struct ipaddr own = ipaddr_solicited_node(&t->item[i].ip);
        if (ipaddr_equal(group, &own))
            return true;
    }
    return false;
}

static bool addr_same_family(const struct ipaddr *a, const struct ipaddr *b)
{
    return ipaddr_is_v4(a) == ipaddr_is_v4(b);
}

static bool addr_prefix_covers(const struct addr *a, const struct ipaddr *ip)
{
    return addr_same_family(&a->ip, ip) && ipaddr_same_prefix(&a->ip, ip, a->prefix_len);
}

bool addr_is_on_link(const struct addr_table *t, const struct ipaddr *ip)
{
    if (ipaddr_is_link_local(ip))
        return true;
    for (uint32_t i = 0; i < t->count; i++)
        if (addr_prefix_covers(&t->item[i], ip))
            return true;
    return false;
}

bool addr_is_broadcast(const struct addr_table *t, const struct ipaddr *ip)
{
    if (!ipaddr_is_v4(ip))
        return false;
    for (uint32_t i = 0; i < t->count; i++)
        if (ipaddr_equal(ip, &t->item[i].broadcast))
            return true;
    return ipaddr_is_limited_broadcast(ip);
}

/* Leading bits that a and b have in common. */
static int addr_common_bits(const struct ipaddr *a, const struct ipaddr *b)
{
    for (int i = 0; i < 16; i++) {
        unsigned differ = (unsigned)(a->b[i] ^ b->b[i]);
        if (differ != 0)
            return i * 8 + __builtin_clz(differ) - 24;
    }
    return 128;
}

/* Is x a better source than y for dst? */
static bool addr_is_better_source(const struct addr *x, const struct addr *y,
                                  const struct ipaddr *dst)
{
    /* RFC 6724 5, rule 1: the destination itself. */
    if (ipaddr_equal(&x->ip, dst) || ipaddr_equal(&y->ip, dst))
        return ipaddr_equal(&x->ip, dst);
    /* Rule 2, appropriate scope; with one interface there are two: link-local and wider. */
    bool x_fits = ipaddr_is_link_local(&x->ip) == ipaddr_is_link_local(dst);
    bool y_fits = ipaddr_is_link_local(&y->ip) == ipaddr_is_link_local(dst);
    if (x_fits != y_fits)
        return x_fits;
    /* Rule 8: longest matching prefix; what lies beyond our own prefix length does not count. */
    int base = ipaddr_is_v4(dst) ? 96 : 0;
    int x_bits = addr_common_bits(&x->ip, dst), y_bits = addr_common_bits(&y->ip, dst);
    x_bits = x_bits < base + x->prefix_len ? x_bits : base + x->prefix_len;
    y_bits = y_bits < base + y->prefix_len ? y_bits : base + y->prefix_len;
    return x_bits > y_bits;
}

const struct addr *addr_source_for(const struct addr_table *t, const struct ipaddr *dst)
{
    const struct addr *best = NULL;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct addr *a = &t->item[i];
        if (a->phase != ADDR_USABLE || !addr_same_family(&a->ip, dst))
            continue;
        if (best == NULL || addr_is_better_source(a, best, dst))
            best = a;
    }
    return best;
}

struct ipaddr addr_link_local(const struct macaddr *mac)
{
    struct ipaddr ip = {.b = {0xfe, 0x80}};
    memcpy(ip.b + 8, mac->b, 3);
    ip.b[8] ^= 0x02; /* RFC 4291 appendix A: the universal/local bit is inverted */
    ip.b[11] = 0xff;
    ip.b[12] = 0xfe;
    memcpy(ip.b + 13, mac->b + 3, 3);
    return ip;
}

bool addr_is_bad_source(const struct addr_table *t, const struct ipaddr *ip)
{
    /* RFC 1122 3.2.1.3, RFC 4291 2.7 and 2.5.2 */
    return ipaddr_is_unspecified(ip) || ipaddr_is_multicast(ip) || ipaddr_is_loopback(ip) ||
           addr_is_broadcast(t, ip);
}
