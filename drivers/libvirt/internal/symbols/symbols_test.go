//go:build libvirt_dlopen && linux

package symbols_test

import (
	"sync"
	"testing"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers/libvirt/internal/symbols"
)

// TestEveryCallOfLibvirtPassesTheLock: the linker did put the lock around the binding's look-ups, those of the QEMU
// library too.
func TestEveryCallOfLibvirtPassesTheLock(t *testing.T) {
	conn, err := libvirt.NewConnect("test:///default")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Close() }()
	dom, err := conn.LookupDomainByName("test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dom.Free() }()

	const callers, calls = 16, 100
	before := symbols.Seen()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range calls {
				if _, err := dom.GetXMLDesc(0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := symbols.Seen() - before; got < callers*calls {
		t.Errorf("%d of %d calls passed the lock", got, callers*calls)
	}
	before = symbols.Seen()
	if _, err := dom.QemuMonitorCommand("info version", libvirt.DOMAIN_QEMU_MONITOR_COMMAND_HMP); err == nil {
		t.Error("the test driver has no monitor, yet it answered")
	}
	if symbols.Seen() == before {
		t.Error("a call of the QEMU library did not pass the lock")
	}
}
