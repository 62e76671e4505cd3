/* text_at.h: where the text of a TCP segment begins, from a look at the packet's first bytes.
 */
#ifndef UT_WIRE_TEXT_AT_H
#define UT_WIRE_TEXT_AT_H

#include "base/base.h"

/* Of an unfragmented packet of IPv4, or of IPv6 without extension headers, whose first `len` bytes
 * are at p: bytes before the text. 0: it is none, or they do not tell. Nothing is verified. */
uint32_t text_at(const uint8_t *p, size_t len);

#endif
