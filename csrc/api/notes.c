/* notes.c: the ut_notes_* calls: a trace switched on, read and switched off.
 */
#include "stack/notes.h"

#include "api/enter.h"

int ut_notes_start(ut_stack *s, uint32_t capacity)
{
    enter(s);
    int code = notes_start(s, capacity);
    pthread_mutex_unlock(&s->lock);
    return code;
}

void ut_notes_stop(ut_stack *s)
{
    enter(s);
    notes_stop(s);
    pthread_mutex_unlock(&s->lock);
}

int ut_notes_read(ut_stack *s, ut_note *out, int max, uint64_t *missed)
{
    enter(s);
    int count = notes_take(&s->trace.notes, out, max, missed);
    pthread_mutex_unlock(&s->lock);
    return count;
}
