//go:build libvirt_dlopen && linux

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef bool look_up(const char *name, void **symbol, bool *once, bool *success, void *err);
typedef void error_func(void *user_data, void *error);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long seen;

/* What the binding asked for while Go's packages were initialised. */
static struct {
	bool set;
	void *user_data;
	error_func *handler;
} postponed;

look_up __real_libvirtSymbol, __real_libvirtQemuSymbol;

/* The binding's init function calls this, and would load libvirt in every process that contains the binding. */
void __wrap_virSetErrorFuncWrapper(void *user_data, error_func *handler)
{
	pthread_mutex_lock(&lock);
	postponed.user_data = user_data;
	postponed.handler = handler;
	postponed.set = true;
	pthread_mutex_unlock(&lock);
}

/* Needs the lock. Where libvirt cannot be loaded, the look-up that follows says so. */
static void set_postponed(void)
{
	static void (*set_error_func)(void *user_data, error_func *handler);
	static bool once, success;

	if (!postponed.set)
		return;
	if (__real_libvirtSymbol("virSetErrorFunc", (void **)&set_error_func, &once, &success, NULL))
		set_error_func(postponed.user_data, postponed.handler);
	postponed.set = false;
}

/* The lock is held for the look-up only, never for the call itself. */
static bool locked(look_up *real, const char *name, void **symbol, bool *once, bool *success, void *err)
{
	pthread_mutex_lock(&lock);
	set_postponed();
	bool found = real(name, symbol, once, success, err);
	seen++;
	pthread_mutex_unlock(&lock);
	return found;
}

bool __wrap_libvirtSymbol(const char *name, void **symbol, bool *once, bool *success, void *err)
{
	return locked(__real_libvirtSymbol, name, symbol, once, success, err);
}

bool __wrap_libvirtQemuSymbol(const char *name, void **symbol, bool *once, bool *success, void *err)
{
	return locked(__real_libvirtQemuSymbol, name, symbol, once, success, err);
}

unsigned long vmplan_symbols_seen(void)
{
	pthread_mutex_lock(&lock);
	unsigned long n = seen;
	pthread_mutex_unlock(&lock);
	return n;
}
