/* text_at.c: called by ingress for frames whose text lies elsewhere than their headers, before
 * anything else is read.
 */
#include "wire/text_at.h"

#include "wire/bytes.h"
#include "wire/ip.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, and the offset */
#define TCP_OFFSET_AT 12          /* of the byte with the header's length */

uint32_t text_at(const uint8_t *p, size_t len)
{
    size_t tcp;
    if (len < IPV4_HEADER_LEN)
        return 0;
    if (p[0] >> 4 == 4) {
        if (p[9] != IP_PROTO_TCP || (get_be16(p + 6) & IPV4_FRAGMENT_BITS) != 0)
            return 0;
        tcp = (size_t)(p[0] & 0x0f) * 4;
    } else {
        if (p[0] >> 4 != 6 || len < IPV6_HEADER_LEN || p[6] != IP_PROTO_TCP)
            return 0;
        tcp = IPV6_HEADER_LEN;
    }
    if (tcp < IPV4_HEADER_LEN || tcp + TCP_HEADER_LEN > len)
        return 0;
    size_t header = (size_t)(p[tcp + TCP_OFFSET_AT] >> 4) * 4;
    return header < TCP_HEADER_LEN ? 0 : (uint32_t)(tcp + header);
}
