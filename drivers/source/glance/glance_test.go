package glance_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/glance"
	"vmplan.dev/vmplan/drivers/source/glance/glancetest"
)

// theCloud runs for all tests of the package.
var theCloud = sync.OnceValues(func() (*glancetest.Cloud, error) {
	return glancetest.Start(context.Background(), testDir)
})

var testDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "glance")
	if err != nil {
		panic(err)
	}
	testDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func cloud(t *testing.T) *glancetest.Cloud {
	t.Helper()
	c, err := theCloud()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, name, format string, bits []byte) string {
	t.Helper()
	id, err := cloud(t).Put(t.Context(), name, format, bits)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// project is a folder with a clouds.yaml that says how to log in to the cloud "lab"; edit may change what it says.
func project(t *testing.T, edit func(string) string) string {
	t.Helper()
	for _, name := range []string{"OS_CLOUD", "OS_AUTH_URL", "OS_CLIENT_CONFIG_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	text := fmt.Sprintf(`clouds:
  lab:
    region_name: RegionOne
    auth:
      auth_url: %s
      username: admin
      password: %s
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
`, cloud(t).AuthURL, glancetest.Password)
	if edit != nil {
		text = edit(text)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// store gets images through src, and writes its log to out.
func store(t *testing.T, src source.Source, out io.Writer) *source.Store {
	t.Helper()
	registry := source.Registry{}
	for _, scheme := range glance.Schemes {
		registry[scheme] = src
	}
	s, err := source.NewStore(source.Options{
		Sources: registry, CacheDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func image(location string) *resource.Image {
	return &resource.Image{Meta: resource.Meta{Addr: resource.Addr{Kind: resource.KindImage, Name: "debian"}}, Source: location}
}

func fetch(t *testing.T, src source.Source, location string, want []byte) drivers.Bits {
	t.Helper()
	bits, err := store(t, src, io.Discard).Fetch(t.Context(), image(location), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(bits.Path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: what was fetched is not what was uploaded (%v)", location, err)
	}
	return bits
}

// rawDisk has no order in it.
func rawDisk(n int, seed byte) []byte {
	b := make([]byte, 0, n+sha512.Size)
	for block := sha512.Sum512([]byte{seed}); len(b) < n; block = sha512.Sum512(block[:]) {
		b = append(b, block[:]...)
	}
	return b[:n]
}

// qcow2Disk is an empty one of a gigabyte.
func qcow2Disk() []byte {
	const cluster = 64 << 10
	b := make([]byte, 4*cluster)
	copy(b, "QFI\xfb")
	for at, v := range map[int]uint32{4: 3, 20: 16, 36: 2, 56: 1, 96: 4, 100: 104} {
		binary.BigEndian.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint64{24: 1 << 30, 40: 3 * cluster, 48: cluster, cluster: 2 * cluster} {
		binary.BigEndian.PutUint64(b[at:], v)
	}
	for i := range 4 {
		binary.BigEndian.PutUint16(b[2*cluster+2*i:], 1)
	}
	return b
}

func TestImagesComeByNameAndIDWithAndWithoutALogin(t *testing.T) {
	raw, qcow2 := rawDisk(1<<20, 1), qcow2Disk()
	dir := project(t, nil)
	id := put(t, "debian 12/raw", "raw", raw)
	put(t, "debian qcow2", "qcow2", qcow2)
	src := glance.New(glance.Options{Dir: dir})
	bits := fetch(t, src, "glance://lab/debian%2012%2Fraw", raw)
	if bits.Format != "raw" || bits.Pin.Resolved != "glance://lab/"+id {
		t.Errorf("the raw image came as %+v", bits)
	}
	if bits := fetch(t, src, "glance://lab/"+id, raw); bits.Pin.Resolved != "" {
		t.Errorf("an id does not move, and it is told as %s", bits.Pin.Resolved)
	}
	if bits := fetch(t, src, "glance://lab/debian%20qcow2", qcow2); bits.Format != "qcow2" || bits.VirtualSize != 1<<30 {
		t.Errorf("the qcow2 image came as %+v", bits)
	}
	fetch(t, src, "glance+http://"+cloud(t).Open+"/"+id, raw)
	fetch(t, src, "glance+http://"+cloud(t).Open+"/debian%20qcow2", qcow2)

	info, err := src.Stat(t.Context(), "glance://lab/"+id)
	sum := sha512.Sum512(raw)
	if err != nil || info.Size != int64(len(raw)) || info.Digest != "sha512:"+hex.EncodeToString(sum[:]) {
		t.Errorf("the service promises %+v (%v)", info, err)
	}
}

func TestTheEnvironmentIsALogin(t *testing.T) {
	project(t, nil)
	raw := rawDisk(4096, 2)
	put(t, "of the environment", "raw", raw)
	for name, value := range map[string]string{
		"OS_AUTH_URL": cloud(t).AuthURL, "OS_USERNAME": "admin", "OS_PASSWORD": glancetest.Password, "OS_PROJECT_NAME": "admin",
		"OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
	} {
		t.Setenv(name, value)
	}
	for _, location := range []string{"glance:///of%20the%20environment", "glance://envvars/of%20the%20environment"} {
		fetch(t, glance.New(glance.Options{}), location, raw)
	}
	t.Setenv("OS_AUTH_URL", "")
	t.Setenv("OS_CLOUD", "lab")
	fetch(t, glance.New(glance.Options{Dir: project2(t)}), "glance:///of%20the%20environment", raw)
}

// project2 is project, which leaves OS_CLOUD as it is.
func project2(t *testing.T) string {
	name := os.Getenv("OS_CLOUD")
	dir := project(t, nil)
	t.Setenv("OS_CLOUD", name)
	return dir
}

func TestWhatCannotBeHadIsSaidWhenPlanning(t *testing.T) {
	dir := project(t, nil)
	one := put(t, "twice", "raw", rawDisk(4096, 3))
	two := put(t, "twice", "raw", rawDisk(4096, 4))
	put(t, "disc", "iso", rawDisk(4096, 5))
	wrong := project(t, func(s string) string { return strings.Replace(s, glancetest.Password, "wr0ng-pass", 1) })
	broken := project(t, func(s string) string { return strings.Replace(s, "password: ", "password: [", 1) })
	nested := project(t, func(s string) string { return strings.Replace(s, "    auth:\n", "    auth: wr0ng-pass\n    x:\n", 1) })
	sources := map[string]*glance.Source{}
	for _, c := range []struct {
		dir, location string
		want          []string
	}{
		{dir, "glance://lab/twice", []string{"2 images called \"twice\"", one, two, "by its id"}},
		{dir, "glance://lab/disc", []string{`the disk format "iso"`, "qemu-img convert"}},
		{dir, "glance://lab/nowhere", []string{`there is no image "nowhere"`}},
		{dir, "glance://lab/11111111-2222-4333-8444-555555555555", []string{`there is no image`}},
		{dir, "glance://lob/twice", []string{`cloud "lob" not found`}},
		{t.TempDir(), "glance://lab/twice", []string{"clouds file not found"}},
		{dir, "glance:///twice", []string{"OS_AUTH_URL"}},
		{wrong, "glance://lab/twice", []string{"401 Unauthorized", "password"}},
		{broken, "glance://lab/twice", []string{"yaml: "}},
		{nested, "glance://lab/twice", []string{"yaml: "}},
	} {
		if sources[c.dir] == nil {
			sources[c.dir] = glance.New(glance.Options{Dir: c.dir})
		}
		_, err := sources[c.dir].Stat(t.Context(), c.location)
		if !errors.Is(err, drivers.ErrUnusable) {
			t.Errorf("%s: not reported as a mistake to fix: %v", c.location, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", c.location, err, want)
			}
		}
		if strings.Contains(err.Error(), glancetest.Password) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: the password is told: %v", c.location, err)
		}
	}
	for _, location := range []string{"glance://lab", "glance://lab/", "glance://a/b/c", "glance+http:///x", "glance+https://user:pw@host/x"} {
		if _, err := glance.New(glance.Options{}).Stat(t.Context(), location); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// counting is a source whose bodies are counted, and that can be told when enough was read.
type counting struct {
	source.Source
	read   int64
	from   []int64
	enough func(read int64)
}

func (c *counting) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	body, info, err := c.Source.Open(ctx, location, from)
	if err != nil {
		return nil, info, err
	}
	c.from = append(c.from, info.Offset)
	return &countedBody{body, c}, info, nil
}

type countedBody struct {
	io.ReadCloser
	c *counting
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.read += int64(n)
	if b.c.enough != nil {
		b.c.enough(b.c.read)
	}
	return n, err
}

func TestADownloadGoesOnAfterTheServiceWasKilled(t *testing.T) {
	raw := rawDisk(48<<20, 6)
	dir := project(t, nil)
	put(t, "large", "raw", raw)
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	src := &counting{Source: glance.New(glance.Options{Dir: dir})}
	s := store(t, src, &said)
	src.enough = func(read int64) {
		if read > 8<<20 && ctx.Err() == nil {
			cloud(t).KillImages()
			cancel()
		}
	}
	if _, err := s.Fetch(ctx, image("glance://lab/large"), nil); err == nil {
		t.Fatal("the image came although the service was killed")
	}
	first := src.read
	src.enough, src.read = nil, 0
	if err := cloud(t).StartImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	bits, err := s.Fetch(t.Context(), image("glance://lab/large"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(bits.Path); err != nil || !bytes.Equal(got, raw) {
		t.Error("the image is not what was uploaded")
	}
	if from := src.from[len(src.from)-1]; from < 4<<20 || from+src.read != int64(len(raw)) {
		t.Errorf("after %d bytes it went on from %d and read %d more of %d", first, from, src.read, len(raw))
	}
	if strings.Contains(said.String(), glancetest.Password) || strings.Contains(said.String(), src.Source.(*glance.Source).Tokens()[0]) {
		t.Errorf("the log tells of the login: %s", said.String())
	}
}

func TestALoginThatEndsIsRenewed(t *testing.T) {
	raw := rawDisk(1<<20, 7)
	dir := project(t, nil)
	id := put(t, "renewed", "raw", raw)
	src := glance.New(glance.Options{Dir: dir})
	if _, err := src.Stat(t.Context(), "glance://lab/"+id); err != nil {
		t.Fatal(err)
	}
	revoke := func() string {
		token := src.Tokens()[0]
		provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{IdentityEndpoint: cloud(t).AuthURL, Username: "admin", Password: glancetest.Password, TenantName: "admin", DomainName: "Default"})
		if err != nil {
			t.Fatal(err)
		}
		identity, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tokens.Revoke(t.Context(), identity, token).Err; err != nil {
			t.Fatal(err)
		}
		return token
	}
	old := revoke()
	fetch(t, src, "glance://lab/"+id, raw)
	if now := src.Tokens()[0]; now == old {
		t.Error("the image came with a token that was revoked")
	}
}

func TestTheAuthoritysFileAndVerifyCount(t *testing.T) {
	to, err := url.Parse(cloud(t).AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	to.Path = ""
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(to))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	defer front.Close()
	raw := rawDisk(4096, 8)
	put(t, "behind tls", "raw", raw)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(more string) *glance.Source {
		return glance.New(glance.Options{Dir: project(t, func(s string) string {
			return strings.Replace(s, cloud(t).AuthURL, front.URL+"/v3", 1) + more
		})})
	}
	fetch(t, at("    cacert: "+ca+"\n"), "glance://lab/behind%20tls", raw)
	fetch(t, at("    verify: false\n"), "glance://lab/behind%20tls", raw)
	_, err = at("").Stat(t.Context(), "glance://lab/behind%20tls")
	if !errors.Is(err, drivers.ErrUnusable) || !strings.Contains(err.Error(), "cacert") {
		t.Errorf("of a certificate that nobody vouches for it says %v", err)
	}
}

func TestLocations(t *testing.T) {
	for _, c := range []struct{ text, cloud, endpoint, image string }{
		{"glance://lab/debian", "lab", "", "debian"},
		{"glance:///debian%2F12", "", "", "debian/12"},
		{"glance+https://img.example:9292/debian", "", "https://img.example:9292/", "debian"},
		{"glance+http://img.example/image/x%20y", "", "http://img.example/image/", "x y"},
	} {
		cloud, endpoint, image, err := glance.Parse(c.text)
		if err != nil || cloud != c.cloud || endpoint != c.endpoint || image != c.image {
			t.Errorf("%s: %q %q %q %v", c.text, cloud, endpoint, image, err)
		}
	}
}
