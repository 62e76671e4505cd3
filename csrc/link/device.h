/* device.h: what a network device says of itself, by ioctl, for packet.c and tun.c. */
#ifndef UT_LINK_DEVICE_H
#define UT_LINK_DEVICE_H

#include <net/if.h>
#include <sys/ioctl.h>

#include "base/base.h"

/* Fills a request with the name. False: it is empty or too long for a device. */
static inline bool device_request(struct ifreq *r, const char *ifname)
{
    memset(r, 0, sizeof *r);
    size_t len = strlen(ifname);
    if (len == 0 || len >= sizeof r->ifr_name)
        return false;
    memcpy(r->ifr_name, ifname, len);
    return true;
}

/* One question to the kernel through any socket; keeps the name. False with errno. */
static inline bool device_ask(int fd, unsigned long question, struct ifreq *r)
{
    return ioctl(fd, question, r) == 0;
}

#endif
