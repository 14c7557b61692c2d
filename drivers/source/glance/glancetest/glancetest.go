// Package glancetest runs OpenStack's real image and identity services (Glance and Keystone, as Debian packages them) for
// tests, on the loopback, with sqlite and a folder of files. It must not be linked into vmplan.
package glancetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/sync/errgroup"
)

// Password of the user admin, in the project admin of the domain Default.
const Password = "k33p-me-out-of-it"

const (
	region       = "RegionOne"
	startTimeout = 3 * time.Minute
)

// Cloud is an image service with logins, and one beside it that has the same images and asks for none.
type Cloud struct {
	AuthURL string // of the identity service
	Open    string // HOST:PORT of the image service without logins

	dir     string
	images  string // HOST:PORT
	service *process
	client  *gophercloud.ServiceClient
}

// Start starts all services, with their files in dir. They end with this process.
func Start(ctx context.Context, dir string) (c *Cloud, err error) {
	for _, program := range []string{"keystone-manage", "keystone-wsgi-public", "glance-manage", "glance-api"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not installed (make test installs it, where apt is: sh .ci/setup test)", program)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c = &Cloud{AuthURL: "http://" + ports[0] + "/v3", images: ports[1], Open: ports[2], dir: dir}
	if err := c.configure(); err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.Go(func() error { return c.startIdentity(ctx, ports[0]) })
	group.Go(func() error { return c.manage(ctx, "glance-manage", "glance.conf", "db_sync") })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	group = errgroup.Group{}
	group.Go(func() error { return c.login(ctx) })
	group.Go(func() error { return c.StartImages(ctx) })
	group.Go(func() error {
		_, err := c.start(ctx, c.Open, "glance-api", "--config-file", c.file("open.conf"))
		return err
	})
	return c, group.Wait()
}

func (c *Cloud) file(name string) string { return filepath.Join(c.dir, name) }

func (c *Cloud) configure() error {
	paste, err := pasteFile()
	if err != nil {
		return err
	}
	identity := fmt.Sprintf(`[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///%[1]s/keystone.db
[fernet_tokens]
key_repository = %[1]s/fernet
[cache]
enabled = false
`, c.dir)
	service := func(address, flavor string) string {
		host, port, _ := net.SplitHostPort(address)
		return fmt.Sprintf(`[DEFAULT]
bind_host = %s
bind_port = %s
workers = 0
use_stderr = true
[database]
connection = sqlite:///%[3]s/glance.db
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = %[3]s/bits
[paste_deploy]
config_file = %s
flavor = %s
[keystone_authtoken]
auth_type = password
auth_url = %[6]s
www_authenticate_uri = %[6]s
username = admin
password = %[7]s
project_name = admin
user_domain_id = default
project_domain_id = default
token_cache_time = -1
`, host, port, c.dir, paste, flavor, c.AuthURL, Password)
	}
	for name, text := range map[string]string{
		"keystone.conf": identity, "glance.conf": service(c.images, "keystone"), "open.conf": service(c.Open, ""),
	} {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.Mkdir(c.file("bits"), 0o700)
}

// pasteFile finds how the image service is put together.
func pasteFile() (string, error) {
	for _, path := range []string{"/etc/glance/glance-api-paste.ini", "/usr/share/glance/glance-api-paste.ini"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("glance-api-paste.ini: %w", fs.ErrNotExist)
}

func (c *Cloud) startIdentity(ctx context.Context, address string) error {
	for _, args := range [][]string{
		{"db_sync"},
		{"fernet_setup", "--keystone-user", "root", "--keystone-group", "root"},
		{"bootstrap", "--bootstrap-password", Password, "--bootstrap-public-url", c.AuthURL + "/", "--bootstrap-internal-url", c.AuthURL + "/", "--bootstrap-region-id", region},
	} {
		if err := c.manage(ctx, "keystone-manage", "keystone.conf", args...); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	_, err = c.start(ctx, address, "keystone-wsgi-public", "--host", host, "--port", port)
	return err
}

func (c *Cloud) manage(ctx context.Context, program, config string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, append([]string{"--config-file", c.file(config)}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, args[0], err, out)
	}
	return nil
}

// login logs the test in as admin, and lists the image service.
func (c *Cloud) login(ctx context.Context) error {
	provider, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: c.AuthURL, Username: "admin", Password: Password, TenantName: "admin", DomainName: "Default", AllowReauth: true,
	})
	if err != nil {
		return err
	}
	identity, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return err
	}
	service, err := services.Create(ctx, identity, services.CreateOpts{Type: "image", Extra: map[string]any{"name": "glance"}}).Extract()
	if err != nil {
		return err
	}
	url := "http://" + c.images
	_, err = endpoints.Create(ctx, identity, endpoints.CreateOpts{
		Availability: gophercloud.AvailabilityPublic, Name: "glance", Region: region, URL: url, ServiceID: service.ID,
	}).Extract()
	c.client = &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: url + "/", ResourceBase: url + "/v2/"}
	return err
}

// Put uploads an image and gives its id. format is "qcow2", "raw", "iso", …
func (c *Cloud) Put(ctx context.Context, name, format string, bits []byte) (string, error) {
	img, err := images.Create(ctx, c.client, images.CreateOpts{Name: name, DiskFormat: format, ContainerFormat: "bare"}).Extract()
	if err != nil {
		return "", err
	}
	return img.ID, imagedata.Upload(ctx, c.client, img.ID, bytes.NewReader(bits)).ExtractErr()
}

// StartImages starts the image service that asks for a login.
func (c *Cloud) StartImages(ctx context.Context) (err error) {
	c.service, err = c.start(ctx, c.images, "glance-api", "--config-file", c.file("glance.conf"))
	return err
}

// KillImages kills that service, as a crash does.
func (c *Cloud) KillImages() { c.service.kill() }

// process is a program that runs until it is killed, or this one ends.
type process struct {
	said  lockedBuffer
	ended chan struct{}
	kill  func()
}

// start runs a program until it serves http at the address.
func (c *Cloud) start(ctx context.Context, address, program string, args ...string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_FILES="+c.file("keystone.conf"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &p.said, &p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the parent that must not die is the thread, which may be another's parent too
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		_ = cmd.Wait() // how it ends is in what it said
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.kill = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get("http://" + address + "/")
		if err == nil {
			return p, resp.Body.Close()
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended: %s", program, p.said.String())
		case <-ctx.Done():
			p.kill()
			return nil, errors.Join(fmt.Errorf("%s does not answer: %s", program, p.said.String()), ctx.Err())
		case <-tick.C:
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// freePorts gives addresses of the loopback that nobody listens on.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
