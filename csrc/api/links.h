/* links.h: what is behind a ut_link: for api/ and stack/, which take one over. */
#ifndef UT_API_LINKS_H
#define UT_API_LINKS_H

#include "include/usertcp_link.h"
#include "link/link.h"

struct ut_link {
    struct link *link;
    struct alloc alloc; /* of the link alone; a stack's memory limit does not count it */
};

/* Valid until ut_link_close. */
struct link *ut_link_inner(ut_link *l);

#endif
