//go:build !nolibvirt

package libvirt

import (
	"reflect"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

// QEMU tells of all user-mode networks of a guest, and of connections too.
func TestParseUsernet(t *testing.T) {
	const answer = "Hub -1 (hostua-nic-out):\r\n" +
		"  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n" +
		"  TCP[ESTABLISHED]   14       10.0.2.15 45512        10.1.1.1    80     0     0\r\n" +
		"  TCP[HOST_FORWARD]  11       127.0.0.1  2222       10.0.2.15    22     0     0\r\n" +
		"  UDP[HOST_FORWARD]  12               *  5353       10.0.2.15    53     0     0\r\n" +
		"Hub -1 (hostnet1):\r\n" +
		"  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n" +
		"  TCP[HOST_FORWARD]  15       127.0.0.1  8080       10.0.2.15    80     0     0\r\n"
	got := parseUsernet(answer, "hostua-nic-out")
	want := []resource.PortForward{
		{Name: "tcp-2222", Protocol: "tcp", Address: "127.0.0.1", HostPort: 2222, GuestPort: 22},
		{Name: "udp-5353", Protocol: "udp", Address: "0.0.0.0", HostPort: 5353, GuestPort: 53},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it is read as %+v", got)
	}
}
