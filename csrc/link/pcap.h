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
/* Each returns how many frames were lost to the capture. `now` is the stack's clock; the file
 * shows wall-clock time, tied to it at the first frame. */
int pcap_write_in(struct pcap *p, const struct link_frame *frames, int count, ns_t now);
int pcap_write_out(struct pcap *p, const struct link_out *frames, int count, ns_t now);
/* Writes what is buffered, then the statistics block. */
void pcap_close(struct pcap *p);

#endif
