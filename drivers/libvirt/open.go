//go:build !nolibvirt

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	_ "vmplan.dev/vmplan/drivers/libvirt/internal/symbols" // loads libvirt when it is first called
)

// driver is one libvirt host.
type driver struct {
	host *resource.Host
	env  drivers.Env
	uri  *url.URL

	connecting chan struct{} // holds one token while somebody connects or looks at cur
	cur        *session
	old        []*session // whose connection died: closed at the end, since others may still be in a call on them

	folders   folders
	usage     usageCache
	networks  sync.Mutex // held by who makes a network
	inFolders sync.Mutex // held by who looks into a folder without a pool
}

// session is one connection, with what does not change while it lasts.
type session struct {
	conn *libvirt.Connect
	test bool // libvirt's test driver: no guests, no bits in volumes
	user bool // a user's own daemon, without privileges
	caps func() (*hostFacts, error)

	guests guestCache
}

// Open makes the driver for host. It does no I/O: the first Observe or Do connects.
func Open(host *resource.Host, env drivers.Env) (drivers.Driver, error) {
	uri, err := parseURI(host.URI, env.Trust)
	if err != nil {
		return nil, fmt.Errorf("uri %q: %w", host.URI, err)
	}
	d := &driver{host: host, env: env, uri: uri, connecting: make(chan struct{}, 1)}
	if os.Geteuid() == 0 && d.isLocal() && uri.Path == "/session" && uri.Query().Get("socket") == "" {
		return nil, fmt.Errorf("uri %q: %w: libvirt connects root to the system's daemon here; write qemu:///system, or run as the user whose session is meant",
			host.URI, drivers.ErrUnsupported)
	}
	return d, nil
}

// isLocal tells whether the daemon runs on this machine, as far as the URI tells.
func (d *driver) isLocal() bool {
	_, transport, _ := strings.Cut(d.uri.Scheme, "+")
	return d.uri.Host == "" && (transport == "" || transport == "unix")
}

// session gives the connection, made on first use and again when it has died.
func (d *driver) session(ctx context.Context) (*session, error) {
	select {
	case d.connecting <- struct{}{}:
		defer func() { <-d.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.cur != nil {
		if alive, err := d.cur.conn.IsAlive(); err == nil && alive {
			return d.cur, nil
		}
		d.env.Log.Debug("the connection died, connecting again", "uri", d.host.URI)
		d.old = append(d.old, d.cur)
		d.cur = nil
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := conn.GetType()
	if err != nil {
		return nil, fail(err, "connect to %s", d.host.URI)
	}
	s := &session{conn: conn, test: strings.EqualFold(kind, "test"), user: d.uri.Path == "/session"}
	s.caps = sync.OnceValues(func() (*hostFacts, error) { return readFacts(s, d.isLocal()) })
	d.cur = s
	return s, nil
}

// withReconnect does something on the host, and once more on a new connection when the one it had turns out to be dead: libvirt
// notices that only when it is used. All that is done on a host can be repeated.
func (d *driver) withReconnect(ctx context.Context, do func(*session) error) error {
	s, err := d.session(ctx)
	if err != nil {
		return err
	}
	err = do(s)
	if err == nil || !errors.Is(err, drivers.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	d.env.Log.Debug("the connection died", "uri", d.host.URI, "error", err)
	if dropErr := d.drop(ctx, s); dropErr != nil {
		return err
	}
	if s, reconnectErr := d.session(ctx); reconnectErr == nil {
		return do(s)
	}
	return err
}

// drop gives a dead connection up, unless that has been done.
func (d *driver) drop(ctx context.Context, s *session) error {
	select {
	case d.connecting <- struct{}{}:
		defer func() { <-d.connecting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.cur == s {
		d.old, d.cur = append(d.old, s), nil
	}
	return nil
}

// reconnectTime is how long a daemon that was there may take to come back.
const reconnectTime = 5 * time.Second

func (d *driver) connect(ctx context.Context) (*libvirt.Connect, error) {
	if os.Geteuid() == 0 && d.isLocal() && d.uri.Path == "/session" && d.uri.Query().Get("socket") == "" {
		return nil, fmt.Errorf("uri %q: %w: for root libvirt answers qemu:///session with the system's daemon; write qemu:///system, or run as the user whose session is meant",
			d.host.URI, drivers.ErrUnsupported)
	}
	deadline := time.Now().Add(reconnectTime)
	for {
		conn, err := open(ctx, d.host.URI)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(d.old) == 0 || time.Now().After(deadline) {
			return nil, d.connectError(err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// open connects; libvirt cannot be interrupted, so a cancelled attempt is left to end by itself.
func open(ctx context.Context, uri string) (*libvirt.Connect, error) {
	type answer struct {
		conn *libvirt.Connect
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		conn, err := libvirt.NewConnect(uri)
		answers <- answer{conn, err}
	}()
	select {
	case a := <-answers:
		return a.conn, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answers; a.err == nil {
				_, _ = a.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// connectError explains why there is no connection; whatever the reason, the host cannot be reached.
func (d *driver) connectError(err error) error {
	text := err.Error()
	if e, ok := errors.AsType[libvirt.Error](err); ok {
		text = e.Message
	}
	hint := ""
	switch {
	case strings.Contains(text, "libvirt.so"):
		hint = installLibrary
	case strings.Contains(text, "Failed to connect socket") && d.isLocal():
		hint = installDaemon
	case strings.Contains(text, "Permission denied") && d.isLocal():
		hint = "\nRun as root or as a member of the group libvirt, or use qemu:///session."
	case strings.Contains(text, "nc: not found"), strings.Contains(text, "nc: command not found"):
		hint = "\nThere is no netcat on that machine, through which libvirt reaches its daemon there: install it (Debian and Ubuntu: apt install netcat-openbsd), or add proxy=native to the uri."
	}
	if u, err := url.Parse(d.host.URI); hint == "" && err == nil && u.Host != "" {
		hint = remoteHint(u)
	}
	return fmt.Errorf("connect to %s: %w: %s%s", d.host.URI, drivers.ErrUnavailable, text, hint)
}

// remoteHint says how to find out what keeps a machine from being reached.
func remoteHint(u *url.URL) string {
	_, transport, _ := strings.Cut(u.Scheme, "+")
	if transport != "ssh" && transport != "libssh" && transport != "libssh2" {
		return fmt.Sprintf("\nDoes the machine run, does libvirt's daemon listen there (for qemu+tls: systemctl enable --now virtproxyd-tls.socket), and does no firewall stand between? Try: virsh --connect '%s' list", u)
	}
	login := u.Hostname()
	if u.User != nil {
		login = u.User.Username() + "@" + login
	}
	if u.Port() != "" {
		login = "-p " + u.Port() + " " + login
	}
	return fmt.Sprintf("\nDoes ssh reach the machine without asking anything, and is libvirt there? Try: ssh -o BatchMode=yes %s virsh --connect qemu://%s list", login, u.Path)
}

const (
	installLibrary = "\nThe libvirt client library is not installed. Debian and Ubuntu: apt install libvirt0; Fedora: dnf install libvirt-libs; Arch: pacman -S libvirt; macOS: brew install libvirt."
	installDaemon  = "\nIs libvirt's daemon installed and running? Debian and Ubuntu: apt install libvirt-daemon-system qemu-system-x86; Fedora: dnf install libvirt-daemon-kvm; Arch: pacman -S libvirt qemu-base; then systemctl enable --now libvirtd."
)

// Close implements drivers.Driver.
func (d *driver) Close() error {
	sessions := d.old
	if d.cur != nil {
		sessions = append(sessions, d.cur)
	}
	d.old, d.cur = nil, nil
	for _, s := range sessions {
		_, _ = s.conn.Close() // a connection that is already dead has nothing to tell
	}
	return nil
}

// pause waits, or ends early with ctx's error.
func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
