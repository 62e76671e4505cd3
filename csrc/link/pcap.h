/* pcap.h: writes frames to a pcapng file. The tap of link.h; not for use on its own.
 *
 * Frames are written as the link saw them: super-segments whole, checksums that the link completes
 * still partial (switch checksum validation off when reading). Nothing here fails loudly: what
 * cannot be written is counted, and the count stands in the file's last block.
 */
#ifndef UT_LINK_PCAP_H
#define UT_LINK_PCAP_H

#include "link/link.h"

/* Creates or overwrites `path`; a FIFO must have its reader. NULL with errno. It has memory of its
 * own, because it comes and goes while another thread uses the link. */
struct pcap *pcap_open(const char *path, const char *if_name, enum link_medium medium);
/* A received frame, whose block stays open until it is known what became of it. False: lost to the
 * capture. `now` is the stack's clock; the file shows wall-clock time, tied to it at the first
 * frame. */
bool pcap_begin_in(struct pcap *p, const struct link_frame *f, ns_t now);
/* Ends that block, if there is one: with a comment of at most PCAP_COMMENT_MAX bytes, or NULL. */
#define PCAP_COMMENT_MAX 252u
void pcap_end_in(struct pcap *p, const char *comment);
/* What is buffered goes to the file, as far as that takes it now. */
void pcap_write(struct pcap *p);
/* How many frames were lost to the capture. Ends an open block, and writes. */
int pcap_write_out(struct pcap *p, const struct link_out *frames, int count, ns_t now);
/* Writes what is buffered, then the statistics block. */
void pcap_close(struct pcap *p);

#endif
