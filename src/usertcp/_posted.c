/* _posted.c: the module usertcp._posted: `bytes` objects that are filled before anybody has them.
 *
 * Called by _binding. It knows Python and nothing of the engine, which receives into the memory of
 * these objects (ut_post) and knows nothing of Python. As in CPython's own socket.recv, an object
 * is written to only while nobody but its maker refers to it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define SIZE_MIN 2 /* shorter ones are shared by CPython */

PyDoc_STRVAR(new_doc, "new(size, /)\n--\n\nA bytes object of `size` bytes of undefined content.");

static PyObject *posted_new(PyObject *module, PyObject *arg)
{
    (void)module;
    Py_ssize_t size = PyLong_AsSsize_t(arg);
    if (size == -1 && PyErr_Occurred())
        return NULL;
    if (size >= SIZE_MIN)
        return PyBytes_FromStringAndSize(NULL, size);
    PyErr_SetString(PyExc_ValueError, "size is too small");
    return NULL;
}

PyDoc_STRVAR(address_doc, "address_of(data, /)\n--\n\nOf the first byte of a bytes object.");

static PyObject *posted_address_of(PyObject *module, PyObject *arg)
{
    (void)module;
    const char *at = PyBytes_AsString(arg);
    return at == NULL ? NULL : PyLong_FromVoidPtr((void *)(uintptr_t)at);
}

static PyMethodDef methods[] = {
    {"address_of", posted_address_of, METH_O, address_doc},
    {"new", posted_new, METH_O, new_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "usertcp._posted",
    .m_doc = "bytes objects that are filled before anybody has them",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__posted(void);
PyMODINIT_FUNC PyInit__posted(void) { return PyModuleDef_Init(&definition); }
