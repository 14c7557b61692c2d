//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

func capabilities(arch string, types ...string) *xmltree.Node {
	domains := ""
	for _, t := range types {
		domains += fmt.Sprintf("<domain type='%s'/>", t)
	}
	tree, err := xmltree.Parse(`<capabilities><host/><guest><os_type>hvm</os_type><arch name='alpha'><domain type='qemu'/></arch></guest><guest><os_type>hvm</os_type><arch name='` +
		arch + `'>` + domains + `</arch></guest></capabilities>`)
	if err != nil {
		panic(err)
	}
	return tree
}

// What stands in the way of a pool is seen in the folders, by whom libvirt and its guests run as.
func TestFoldersOfPools(t *testing.T) {
	dir := t.TempDir()
	for p := dir; p != "/tmp" && p != "/"; p = filepath.Dir(p) {
		check(t, os.Chmod(p, 0o755))
	}
	closed, file := filepath.Join(dir, "closed"), filepath.Join(dir, "file")
	check(t, os.Mkdir(closed, 0o700))
	check(t, os.WriteFile(file, nil, 0o644))
	nobody := guestUser{uid: 65534, gid: 65534}
	for _, c := range []struct {
		who  guestUser
		path string
		want drivers.Folder
	}{
		{nobody, dir, drivers.Folder{Nearest: dir}},
		{nobody, dir + "/new/vm", drivers.Folder{Nearest: dir, Missing: true}},
		{nobody, closed + "/vm", drivers.Folder{Nearest: closed, Missing: true, Closed: closed, User: nobody.name()}},
		{guestUser{uid: 0}, closed + "/vm", drivers.Folder{Nearest: closed, Missing: true}},
		{guestUser{uid: -1}, closed, drivers.Folder{Nearest: closed}},
		{nobody, file, drivers.Folder{Nearest: file, NoFolder: true}},
		{nobody, file + "/vm", drivers.Folder{Nearest: file, Missing: true, NoFolder: true}},
	} {
		if got := c.who.readFolder(c.path); got != c.want {
			t.Errorf("%s for user %d: %+v, not %+v", c.path, c.who.uid, got, c.want)
		}
	}
	caps, err := xmltree.Parse(`<capabilities><host><secmodel><model>apparmor</model></secmodel><secmodel><model>dac</model><baselabel type='kvm'>+64055:+108</baselabel></secmodel></host></capabilities>`)
	check(t, err)
	if who := readGuestUser(caps, false); who != (guestUser{uid: 64055, gid: 108}) {
		t.Errorf("guests run as %+v", who)
	}
}

// libvirt lists kvm wherever /dev/kvm is; it works only where the CPU has virtualization too.
func TestKVMIsBelievedOnlyWithACPUForIt(t *testing.T) {
	for _, c := range []struct {
		name           string
		caps           *xmltree.Node
		arch           string
		virtualization bool
		want           []string
	}{
		{"a real one", capabilities("x86_64", "qemu", "kvm"), "x86_64", true, []string{"kvm", "qemu"}},
		{"inside a guest without nesting", capabilities("x86_64", "qemu", "kvm"), "x86_64", false, []string{"qemu"}},
		{"without /dev/kvm", capabilities("x86_64", "qemu"), "x86_64", true, []string{"qemu"}},
		{"ARM, whose CPUs have no such flag", capabilities("aarch64", "qemu", "kvm"), "aarch64", false, []string{"kvm", "qemu"}},
		{"libvirt's test driver", capabilities("i686", "test"), "i686", false, []string{"qemu"}},
		{"no emulator for the host's own architecture", capabilities("riscv64"), "riscv64", false, nil},
	} {
		if _, got := domainTypes(c.caps, c.arch, func() bool { return c.virtualization }); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
	for _, feature := range []string{"vmx", "svm"} {
		cpu, err := xmltree.Parse("<cpu><model>X</model><feature name='aes'/><feature name='" + feature + "'/></cpu>")
		check(t, err)
		if !cpuVirtualizes(cpu) || cpuVirtualizes(&xmltree.Node{Name: "cpu"}) {
			t.Errorf("the CPU's feature %s is not seen", feature)
		}
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		err  libvirt.Error
		want error
	}{
		{libvirt.Error{Code: libvirt.ERR_NO_DOMAIN}, drivers.ErrNotFound},
		{libvirt.Error{Code: libvirt.ERR_NO_STORAGE_VOL}, drivers.ErrNotFound},
		{libvirt.Error{Code: libvirt.ERR_STORAGE_VOL_EXIST}, drivers.ErrConflict},
		{libvirt.Error{Code: libvirt.ERR_NO_SUPPORT}, drivers.ErrUnsupported},
		{libvirt.Error{Code: libvirt.ERR_OPERATION_TIMEOUT}, drivers.ErrTimeout},
		{libvirt.Error{Code: libvirt.ERR_SYSTEM_ERROR, Domain: libvirt.FROM_RPC, Message: "Broken pipe"}, drivers.ErrUnavailable},
		{libvirt.Error{Code: libvirt.ERR_SYSTEM_ERROR, Message: "write: No space left on device"}, drivers.ErrNoSpace},
	} {
		got := fail(c.err, "define vm %s", "web")
		if !errors.Is(got, c.want) || !strings.HasPrefix(got.Error(), "define vm web: ") {
			t.Errorf("%+v is %v, not %v", c.err, got, c.want)
		}
		if wrapped := fail(fmt.Errorf("disk root: %w", c.err), "create vm web"); !errors.Is(wrapped, c.want) {
			t.Errorf("a wrapped %+v is not %v", c.err, c.want)
		}
	}
	if err := fail(libvirt.Error{Code: libvirt.ERR_INTERNAL_ERROR, Message: "odd"}, "x"); missing(err) || errors.Is(err, drivers.ErrNotFound) {
		t.Error("any error counts as not found")
	}
	if fail(nil, "x") != nil {
		t.Error("no error is one")
	}
}

// Without the library or the daemon, the error says what to install.
func TestConnectErrorsSayWhatToInstall(t *testing.T) {
	local, err := Open(&resource.Host{URI: "qemu:///system"}, drivers.Env{})
	check(t, err)
	for message, want := range map[string]string{
		"libvirt.so.0: cannot open shared object file": "apt install libvirt0",
		"Failed to connect socket to '/run/x'":         "apt install libvirt-daemon-system",
		"access denied: Permission denied":             "group libvirt",
	} {
		err := local.(*driver).connectError(libvirt.Error{Message: message})
		if !errors.Is(err, drivers.ErrUnavailable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "qemu:///system") {
			t.Errorf("%s: %v", message, err)
		}
	}
}

func TestRootHasNoSession(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := Open(&resource.Host{URI: "qemu:///session"}, drivers.Env{}); !errors.Is(err, drivers.ErrUnsupported) || !strings.Contains(err.Error(), "qemu:///system") {
		t.Errorf("qemu:///session for root: %v", err)
	}
	for _, uri := range []string{"qemu:///system", "qemu+ssh://root@lab/session", "qemu+unix:///session?socket=/x", "test:///default"} {
		if _, err := Open(&resource.Host{URI: uri}, drivers.Env{}); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := Open(&resource.Host{URI: "qemu://%"}, drivers.Env{}); err == nil {
		t.Error("a broken URI is taken")
	}
}
