// Package engine does what vmplan does for other Go programs: it opens a project, plans, applies, and works on its vms, images
// and state.
//
//	p, err := engine.Open(ctx, dir, engine.Options{Parts: …, Lock: &engine.Lock{Operation: "apply"}})
//	plan, err := p.Plan(ctx, planner.Options{})
//	result, err := p.Apply(ctx, plan, engine.ApplyOptions{})
//
// It takes contexts and values, and returns values and errors. It never prints, asks, exits, changes the working directory or
// reads the environment: Options has all that it is told, Options.Events hears what cannot wait for the end. It knows no concrete
// driver, image source or state backend: Parts brings them.
package engine

import (
	"context"
	"log/slog"
	"os"
	"time"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Options say how a project is opened.
type Options struct {
	Parts
	Trust Trust

	// Version of the program, for marks and for what the files require of vmplan.
	Version string
	// Vars are the values of variables by name, VarFiles the files of values, in order. Environ is an environment, of which
	// VMPLAN_VAR_NAME=VALUE counts.
	Vars     map[string]string
	VarFiles []string
	Environ  []string
	// AnyValue lets variables be without a value: the project can be loaded, and not be planned.
	AnyValue bool

	// Recorded tells that only what is recorded matters: mistakes in the files are ignored as long as they say where the state is.
	Recorded bool
	// Lock is taken while the project is open; nil: nothing is written. Plans that are applied need one.
	Lock *Lock
	// Events hears what happens while a call runs, one event at a time; it must not block. nil: nobody listens.
	Events func(Event)
	// Log gets what is done on hosts; nil: it is not logged.
	Log *slog.Logger
}

// Parts are what an engine is made of. Package engine/parts has all that need no C library.
type Parts struct {
	Drivers  drivers.Registry
	Backends map[string]func(config.StateSettings) (state.Backend, error) // by type of the state block
	Images   func(ImageSettings) (ImageStore, error)
	Registry Registry              // where images and appliances are pushed to
	Schemes  []string              // of the URLs that images can come from
	Defaults resource.HostDefaults // of hosts that no driver is for, and where no host is known
	Example  string                // URI of a host, for messages
}

// Trust says what a project may do on this machine. The zero value is for files that are one's own.
type Trust struct {
	Programs  bool     // the uri of a host in the files may run programs
	Untrusted bool     // the files may come from anybody: nothing outside of their folder is read, no image, and nothing is applied
	Hosts     []string // connect to hosts with these URIs and no others; nil: to all, or to none of a project that is Untrusted
}

// Lock asks for the state's lock.
type Lock struct {
	Operation string        // what for, as others are told who wait for it
	Timeout   time.Duration // how long to wait when somebody else holds it
}

// ImageSettings say how a project gets its images.
type ImageSettings struct {
	Dir string // the project's folder
	// Named gives what a source stands for that is a name of the catalogue.
	Named func(name string) (location, checksum string, ok bool)
}

// ImageStore fetches images, can say beforehand how much there is to download, and knows versions.
type ImageStore interface {
	drivers.ImageStore

	// Probe gives the number of bytes that fetching the image would download, 0 when nothing needs to be fetched. known is false
	// when it cannot be told beforehand.
	Probe(ctx context.Context, img *resource.Image) (size int64, known bool, err error)
	// Newer tells whether an image's source has another version than the one that the image is held to. It takes a few
	// seconds at most; an error tells why nobody knows.
	Newer(ctx context.Context, img *resource.Image) (bool, error)
	// Latest gets the newest version of an image, whatever it is held to, and gives its pin; its Revision is 0.
	Latest(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (resource.Pin, error)

	// Locked gives the digest of what the cache has of the version that the image is held to.
	Locked(img *resource.Image) (digest string, ok bool)
	// Need notes which bits, by digest, a project of this machine needs from now on: those the cache is not cleared of.
	Need(lineage, dir string, digests []string) error
	// Cached lists what the cache holds, in order of digest.
	Cached() ([]drivers.CachedBits, error)
	// Drop removes bits from the cache. It is drivers.ErrInUse while a process uses them, or a project of this machine needs them.
	Drop(digest string) error
	// Sweep removes from the cache what killed processes left unfinished.
	Sweep() error
	// Held gives the bits of a digest, if the cache has them.
	Held(digest string) (bits drivers.Bits, ok bool)
	// Scratch makes a file where there is room for bits on their way, and the caller calls remove when they are there.
	Scratch() (f *os.File, remove func() error, err error)
}

// Project is an open project: its files, its state, its hosts. It is for use by one goroutine at a time; several projects, also of
// one folder, can be open at once. With Options.Lock the state is locked from Open to Close, so nobody else writes it; without,
// what was read may be out of date by the next call, and nothing is written.
//
// Files are parsed by Open and evaluated by Load; hosts are connected to by the first call that needs them, and observed anew by
// each Plan. Close ends the connections.
type Project struct {
	opts    Options
	dir     string
	files   *config.Project
	parsed  config.Diagnostics // what is wrong with the files before they are evaluated
	config  *config.Config     // nil until Load
	backend state.Backend
	state   *state.Snapshot
	drivers map[string]drivers.Driver // by host label
	opened  map[string]*resource.Host // what they were opened for
	images  ImageStore
	seen    planner.Input // what the last look at the hosts saw
	unlock  state.Unlock  // nil when not locked
}

// Dir is the project's folder, absolute.
func (p *Project) Dir() string { return p.dir }

// Files are the project's files, parsed.
func (p *Project) Files() *config.Project { return p.files }

// Config is what the files say, evaluated; nil until Load.
func (p *Project) Config() *config.Config { return p.config }

// Backend keeps the state.
func (p *Project) Backend() state.Backend { return p.backend }

// State is what is recorded, as of the last call that read or wrote it.
func (p *Project) State() *state.Snapshot { return p.state }

// Drivers are the hosts by label; none until Connect.
func (p *Project) Drivers() map[string]drivers.Driver { return p.drivers }

// Images gets the project's images; nil until Connect.
func (p *Project) Images() ImageStore { return p.images }

// Seen is what the last look at the hosts saw.
func (p *Project) Seen() planner.Input { return p.seen }

func (p *Project) tell(e Event) {
	if p.opts.Events != nil {
		p.opts.Events(e)
	}
}
