/* addr.c: questions about addresses that need no configuration.
 *
 * IPv4 addresses are held IPv4-mapped (RFC 4291 2.5.5.2), so equality and hashing need not know
 * the family.
 */
#include "wire/addr.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ipaddr_is_v4(const struct ipaddr *a)
{
    return memcmp(a->b, mapped_prefix, sizeof mapped_prefix) == 0;
}

struct ipaddr ipaddr_from_v4(const uint8_t v4[4])
{
    struct ipaddr a;
    memcpy(a.b, mapped_prefix, sizeof mapped_prefix);
    memcpy(a.b + 12, v4, 4);
    return a;
}

struct ipaddr ipaddr_from_v6(const uint8_t v6[16])
{
    struct ipaddr a;
    memcpy(a.b, v6, 16);
    return a;
}

bool ipaddr_is_unspecified(const struct ipaddr *a)
{
    if (ipaddr_is_v4(a))
        return a->w[3] == 0;
    return a->q[0] == 0 && a->q[1] == 0;
}

bool ipaddr_is_multicast(const struct ipaddr *a)
{
    /* RFC 4291 2.7, RFC 1112 4 */
    return ipaddr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool ipaddr_is_limited_broadcast(const struct ipaddr *a)
{
    return ipaddr_is_v4(a) && a->w[3] == UINT32_MAX;
}

bool ipaddr_is_loopback(const struct ipaddr *a)
{
    static const struct ipaddr one = {.b = {[15] = 1}};
    return ipaddr_is_v4(a) ? a->b[12] == 127 : ipaddr_equal(a, &one);
}

bool ipaddr_is_link_local(const struct ipaddr *a)
{
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool ipaddr_same_prefix(const struct ipaddr *a, const struct ipaddr *b, int bits)
{
    bool is_v4 = ipaddr_is_v4(a);
    if (is_v4 != ipaddr_is_v4(b))
        return false;
    int first = is_v4 ? 12 : 0;
    int width = 8 * (16 - first);
    UT_ASSERT(bits >= 0 && bits <= width);
    size_t whole = (size_t)bits / 8;
    if (memcmp(a->b + first, b->b + first, whole) != 0)
        return false;
    int rest = bits % 8;
    if (rest == 0)
        return true;
    int differing = a->b[(size_t)first + whole] ^ b->b[(size_t)first + whole];
    return differing >> (8 - rest) == 0;
}

struct ipaddr ipaddr_solicited_node(const struct ipaddr *a)
{
    /* RFC 4291 2.7.1: the low 24 bits of the address under a fixed prefix. */
    struct ipaddr group = {.b = {[0] = 0xff, [1] = 0x02, [11] = 0x01, [12] = 0xff}};
    memcpy(group.b + 13, a->b + 13, 3);
    return group;
}
