// Package drivers is the boundary to the world's hypervisors: the Driver interface, the operations a plan is made of, what
// a host is observed to have, the impact of changes, and the errors that callers tell apart.
//
// It knows no hypervisor, and nothing in it decides what to do: the planner does that from plain data, and drivers carry
// out one operation at a time. No type of a client library crosses this line.
package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// Driver is one host. All methods may be called from several goroutines at once. Opening one does no I/O: the first Observe
// or Do connects, and answers ErrUnavailable when it cannot.
type Driver interface {
	Rules

	// Observe reads the host once, in bulk: every object that sel.Want names (managed or not, found by resource.Key), every
	// vm and network that bears a mark of sel.Lineage, with sel.All everything else too, and the host's facts. What is not in the answer is not on the host: a
	// lookup that fails for any other reason fails the whole call. Observe changes nothing but libvirt-like caches.
	Observe(ctx context.Context, sel Selection) (*Observed, error)

	// Do makes one change. It is idempotent: what is already so is success (an object that is there as wanted, or already
	// gone, a guest that already runs). It returns when the change is done and visible to Observe, or failed. It may report
	// progress, from one goroutine at a time. Where op asks for an owner (OwnerOf) and the host's object carries the mark of
	// another, Do changes nothing and answers ErrConflict. Cancelling ctx ends waiting and transfers; what was begun is undone or is
	// such that the same Do finishes it.
	Do(ctx context.Context, op Op, report func(Progress)) (Result, error)

	// Console connects the serial console of a running vm until ctx ends, in ends, or the guest stops. It needs
	// AbilityConsole.
	Console(ctx context.Context, vm *resource.VM, in io.Reader, out io.Writer) error

	// ReadVolume writes what the volume ("pool/file") holds to w, as one file that stands alone: a raw volume comes raw, any
	// other as qcow2, flattened over its backing chain and without the snapshots in it. Where w can seek, it is a new file,
	// and holes are left in it. A disk that a running guest may write to, or an overlay of one, is ErrInUse: it would be
	// torn; and so is, at the end, what was written to meanwhile by a guest that is off again. Images and other bases under
	// running guests can be read, for nobody writes to them. What ReadVolume makes on the host for this is removed again;
	// after a kill, by the next call in that pool. It needs AbilityReadVolumes.
	ReadVolume(ctx context.Context, volumeID string, w io.Writer, report func(Progress)) (Content, error)

	// Close ends the connection. Nothing may be running.
	Close() error
}

// Content is what was read of a volume.
type Content struct {
	Format      string // "raw" or "qcow2"
	VirtualSize resource.Size
}

// Selection says what to observe.
type Selection struct {
	Lineage string
	Want    []resource.Resource // normalised; their Key counts
	// All asks for every object of the host, marked or not, wanted or not; volumes are those of active pools. What is not
	// wanted comes without an Addr unless it is marked, and a volume as a *resource.Volume named after its file.
	All bool
	// Unfinished are pools, by name, whose making or removal was cut short: nothing wanted is in them when they are not
	// active. Of others that cannot be told, and what is wanted there fails the call.
	Unfinished map[string]bool
}

// Impact is how far a change reaches. Larger is worse.
type Impact uint8

// The impacts.
const (
	ImpactRecord   Impact = iota // only vmplan's record changes
	ImpactLive                   // done now, the guest keeps running
	ImpactNextBoot               // written now, takes effect when the guest next starts
	ImpactRestart                // the guest is shut down, changed and started again
	ImpactReplace                // deleted and created again
	ImpactDestroy                // deleted
)

var impactNames = []string{"record", "live", "next-boot", "restart", "replace", "destroy"}

func (i Impact) String() string { return impactNames[i] }

// MarshalText implements encoding.TextMarshaler.
func (i Impact) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Impact) UnmarshalText(text []byte) error {
	n := slices.Index(impactNames, string(text))
	if n < 0 {
		return fmt.Errorf("there is no impact %q", text)
	}
	*i = Impact(n)
	return nil
}

// FieldImpact is the impact of one changed field.
type FieldImpact struct {
	Path   string // as in resource.Change
	Impact Impact
	Note   string // why, when that is not obvious; may be empty
	Call   string // what is called on the host: "virDomainSetVcpusFlags (live, config)"; may be empty
}

// Progress is how far an operation is.
type Progress struct {
	Phase string // "downloading", "importing", "waiting for ssh"; short, constant
	Done  int64  // bytes
	Total int64  // bytes; 0 when not known
}

// Result is what an operation found out.
type Result struct {
	// Object is the target with fields filled in that only doing it could tell (an image's Digest and Pin); nil when all is
	// as promised.
	Object resource.Resource
}

// The errors that callers tell apart, with errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflicts with an existing object")
	ErrInUse       = errors.New("in use")
	ErrUnsupported = errors.New("not supported by this host")
	ErrUnavailable = errors.New("host cannot be reached")
	ErrNoSpace     = errors.New("not enough space")
	ErrTimeout     = errors.New("timed out")
	ErrMoved       = errors.New("the image behind it moved since it was locked")
	ErrUnusable    = errors.New("this will not do") // until somebody changes the files, the image or a login
	ErrUntrusted   = errors.New("refused")          // the operator has not allowed what a URI asks for
)

// ImageStore gets the bits of images. It is safe for concurrent use, also by several processes.
type ImageStore interface {
	// Fetch gives a local file with the image's bits, unpacked and checked, downloading it unless the cache has it. It is the
	// version that img.Pin names, or else the newest, which must match the image's checksum. ErrMoved means that the source
	// no longer has the version that is pinned. What it gives is complete and never changed by the store; a file of this machine may be used
	// where it is.
	Fetch(ctx context.Context, img *resource.Image, report func(Progress)) (Bits, error)
}

// EagerStore is an ImageStore that gives bits to who cannot wait for them to be checked.
type EagerStore interface {
	ImageStore

	// Begin is as Fetch, but may return while a file of this machine is still being checked: Path, Format and the sizes count
	// then, and what is made of them only once wait has said that all is well, and given the rest. wait must be called, once or more.
	Begin(ctx context.Context, img *resource.Image, report func(Progress)) (early Bits, wait func() (Bits, error), err error)
}

// BeginFetch is Begin where the store has it, and else Fetch.
func BeginFetch(ctx context.Context, store ImageStore, img *resource.Image, report func(Progress)) (Bits, func() (Bits, error), error) {
	if eager, ok := store.(EagerStore); ok {
		return eager.Begin(ctx, img, report)
	}
	bits, err := store.Fetch(ctx, img, report)
	return bits, func() (Bits, error) { return bits, err }, err
}

// Bits is a fetched image.
type Bits struct {
	Path        string        // of the local file
	Format      string        // "qcow2" or "raw"
	Digest      string        // "sha256:HEX" of the file at Path
	Size        int64         // of the file, bytes
	VirtualSize resource.Size // of the disk it holds
	// Pin is the version of the image's source that the bits are of: img.Pin where there was one. It is nil when the source
	// is a file of this machine.
	Pin *resource.Pin
}

// CachedBits are the bits of an image that an image store keeps.
type CachedBits struct {
	Digest   string    `json:"digest"` // "sha256:HEX"
	Size     int64     `json:"size"`   // bytes
	Since    time.Time `json:"since"`
	Sources  []string  `json:"sources"`             // where they came from, without secrets
	NeededBy []string  `json:"needed_by,omitempty"` // folders of the projects of this machine whose images they are
}

// Env is what a driver is given of its surroundings.
type Env struct {
	Dir    string // the project's folder, for relative paths in a URI
	Trust  Trust  // of the host's URI
	Images ImageStore
	Log    *slog.Logger // debug detail; never nil
	// Dial reaches the addresses of guests, for WaitReady; nil means straight from this machine.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Opener makes the driver for a host. It checks the URI and does no I/O. A URI of which it does not know every part is
// ErrUnsupported; what runs a program or writes a file is env.Trust's to allow.
type Opener func(host *resource.Host, env Env) (Driver, error)

// Registry knows the drivers by the scheme of a host's URI, where "qemu+ssh" counts as "qemu".
type Registry map[string]Opener

// Open makes the driver for host.
func (reg Registry) Open(host *resource.Host, env Env) (Driver, error) {
	scheme, _, ok := strings.Cut(host.URI, ":")
	base, _, _ := strings.Cut(scheme, "+")
	open := reg[base]
	if !ok || open == nil {
		known := make([]string, 0, len(reg))
		for s := range reg {
			known = append(known, s)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("uri %q: %w: no driver for this scheme, there are: %s", host.URI, ErrUnsupported, strings.Join(known, ", "))
	}
	if err := env.Trust.host(host.URI); err != nil {
		return nil, fmt.Errorf("uri %q: %w", host.URI, err)
	}
	return open(host, env)
}

// Defaults asks the driver for a host's URI what such a host decides where the files say nothing. ok is false when no driver
// takes the URI.
func (reg Registry) Defaults(uri string) (d Defaults, ok bool) {
	driver, err := reg.Open(&resource.Host{URI: uri}, Env{Log: slog.New(slog.DiscardHandler), Trust: Trust{Written: true, Programs: true}})
	if err != nil {
		return Defaults{}, false
	}
	return driver.Defaults(), driver.Close() == nil
}
