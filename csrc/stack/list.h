/* list.h: doubly linked circular lists through nodes that lie in their owners.
 *
 * A node on no list points to itself; a zeroed node must be list_init-ed first. The head is a node
 * that has no owner.
 */
#ifndef UT_STACK_LIST_H
#define UT_STACK_LIST_H

#include "base/base.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *n) { n->next = n->prev = n; }
static inline bool list_is_empty(const struct list *head) { return head->next == head; }
/* Is the node on some list? */
static inline bool list_is_linked(const struct list *n) { return n->next != n; }
static inline void list_append(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
/* Does nothing to a node on no list. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
/* Moves all nodes of `from` to the end of `to`. */
static inline void list_take_all(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
