//go:build !nolibvirt

package libvirt

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// workers is how many calls are under way at once while a host is read. libvirt's daemon gains nothing from more, and one
// connection is as good as several.
const workers = 4

// Observe implements drivers.Driver.
func (d *driver) Observe(ctx context.Context, sel drivers.Selection) (o *drivers.Observed, err error) {
	err = d.withReconnect(ctx, func(s *session) error {
		o, err = observe(ctx, s, sel)
		return err
	})
	return o, err
}

func observe(ctx context.Context, s *session, sel drivers.Selection) (_ *drivers.Observed, err error) {
	o := &observation{
		session: s, lineage: sel.Lineage, all: sel.All, unfinished: sel.Unfinished, want: make(map[string]resource.Resource, len(sel.Want)),
		objects: map[string]*drivers.Object{}, users: map[string][]string{}, files: map[string][]string{}, overlays: map[string]string{}, tops: map[string]string{},
	}
	for _, r := range sel.Want {
		o.want[resource.Key(r)] = r
	}
	if o.pools, err = readPools(s); err != nil {
		return nil, err
	}
	var facts drivers.Facts
	all, reading := errgroup.WithContext(ctx)
	all.Go(func() error {
		host, err := s.caps()
		if err == nil {
			facts, err = o.readWantedFacts(host)
		}
		return err
	})
	all.Go(func() error { return o.readStorage(reading) })
	all.Go(func() error { return o.readNetworks(reading) })
	all.Go(func() error { return o.readDomains(reading) })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	if err := o.readLeases(ctx); err != nil {
		return nil, err
	}
	if err := o.foldOverlays(); err != nil {
		return nil, err
	}
	for key, users := range o.users {
		if object := o.objects[key]; object != nil {
			object.Users = users
		}
	}
	o.listFiles()
	return &drivers.Observed{Facts: facts, Objects: o.objects}, nil
}

// observation collects one read of a host.
type observation struct {
	*session
	lineage string
	all     bool                         // everything belongs into the answer
	want    map[string]resource.Resource // by Key
	strict  bool                         // no pool may be left out because it cannot be read
	pools   poolIndex

	unfinished map[string]bool // pools that hold nothing wanted while they are not active

	mu      sync.Mutex
	objects map[string]*drivers.Object
	users   map[string][]string // Key of what is used → Keys of its users
	files   map[string][]string // what each active pool holds, by name
	leased  []string            // networks that running guests of ours are on

	overlays map[string]string // volume that an external snapshot has made → Key of its vm
	tops     map[string]string // volume under such → the one the guest writes to
}

// add records an object under its Key.
func (o *observation) add(object *drivers.Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[resource.Key(object.Resource)] = object
}

// listFiles tells of the pools what they hold, without what external snapshots have made.
func (o *observation) listFiles() {
	for pool, files := range o.files {
		object := o.objects[string(resource.KindPool)+"/"+pool]
		if object == nil {
			continue
		}
		object.Volumes = slices.DeleteFunc(files, func(file string) bool { return o.overlays[pool+"/"+file] != "" })
		slices.Sort(object.Volumes)
	}
}

// addUser records that the object user uses each of the keys.
func (o *observation) addUser(user string, keys []string) {
	if len(keys) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		o.users[key] = append(o.users[key], user)
	}
}

// ours tells whether an object with this Key and mark belongs into the answer.
func (o *observation) ours(key string, mark *drivers.Mark) bool {
	return o.all || o.want[key] != nil || mark != nil && o.lineage != "" && mark.Lineage == o.lineage
}

// address is the Addr of the wanted object with this Key, else that of the mark.
func (o *observation) address(key string, mark *drivers.Mark) resource.Addr {
	if want := o.want[key]; want != nil {
		return want.Base().Addr
	}
	if mark != nil {
		return mark.Addr
	}
	return resource.Addr{}
}

// each calls do for 0 … n-1 on a few goroutines, until one fails.
func each(ctx context.Context, n int, do func(i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	group.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(n, workers) {
		group.Go(func() error {
			for i := range next {
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// markURI is the namespace of the ownership mark in an object's <metadata>; markPrefix is what it is written with.
const (
	markURI    = "https://vmplan.dev/xmlns/v1"
	markPrefix = "vmplan"
	markName   = "mark"
)

// readMark finds the ownership mark in a <metadata> element, which may be nil.
func readMark(metadata *xmltree.Node) *drivers.Mark {
	if metadata == nil {
		return nil
	}
	for _, k := range metadata.Kids {
		if definition.IsMetadata(k, markName, markURI) {
			return markIn(k)
		}
	}
	return nil
}

// markIn reads the element of a mark; nil when it makes no sense.
func markIn(element *xmltree.Node) *drivers.Mark {
	addr, err := resource.ParseAddr(element.Attr("addr"))
	if err != nil {
		return nil
	}
	return &drivers.Mark{Lineage: element.Attr("lineage"), Addr: addr, Version: element.Attr("version"), Released: element.Attr("released") == "yes"}
}

// markNode is the element that readMark reads.
func markNode(m *drivers.Mark) *xmltree.Node {
	n := xmltree.New(markPrefix+":"+markName, "xmlns:"+markPrefix, markURI, "lineage", m.Lineage, "addr", m.Addr.String(), "version", m.Version)
	if m.Released {
		n.Set("released", "yes")
	}
	return n
}

// putMark replaces the mark in a definition.
func putMark(object *xmltree.Node, m *drivers.Mark) {
	if m == nil {
		return
	}
	metadata := object.Ensure("metadata")
	metadata.DropFunc(func(k *xmltree.Node) bool { return readMark(&xmltree.Node{Kids: []*xmltree.Node{k}}) != nil })
	metadata.Add(markNode(m))
}

// names of active or autostarted objects, as libvirt lists them.
func nameSet[T interface{ GetName() (string, error) }](list []T, free func(T)) (map[string]bool, error) {
	names := make(map[string]bool, len(list))
	for _, t := range list {
		name, err := t.GetName()
		free(t)
		if err != nil {
			return nil, fail(err, "read a name")
		}
		names[name] = true
	}
	return names, nil
}

func freeDomain(d *libvirt.Domain)     { _ = d.Free() }
func freeNetwork(n *libvirt.Network)   { _ = n.Free() }
func freePool(p *libvirt.StoragePool)  { _ = p.Free() }
func freeVolume(v *libvirt.StorageVol) { _ = v.Free() }

// pointers gives the elements' addresses: the bindings list values, but their methods want pointers.
func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
