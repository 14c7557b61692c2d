//go:build !nolibvirt

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// livePool is a storage pool as it was read.
type livePool struct {
	name, path, uuid string
	kind             string // "dir", …
	active           bool
	autostart        bool
	capacity, free   resource.Size
}

// poolIndex is all pools of a host, by name.
type poolIndex map[string]*livePool

func readPools(s *session) (poolIndex, error) {
	list, err := s.conn.ListAllStoragePools(0)
	if err != nil {
		return nil, fail(err, "list pools")
	}
	started, err := s.conn.ListAllStoragePools(libvirt.CONNECT_LIST_STORAGE_POOLS_AUTOSTART)
	if err != nil {
		return nil, fail(err, "list pools")
	}
	autostart, err := nameSet(pointers(started), freePool)
	if err != nil {
		return nil, err
	}
	pools := make(poolIndex, len(list))
	for _, p := range pointers(list) {
		live, err := readPool(p)
		freePool(p)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		live.autostart = autostart[live.name]
		pools[live.name] = live
	}
	return pools, nil
}

func readPool(pool *libvirt.StoragePool) (*livePool, error) {
	text, err := pool.GetXMLDesc(0)
	if err != nil {
		return nil, fail(err, "read the definition of a pool")
	}
	def, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the definition of a pool: %w", err)
	}
	active, err := pool.IsActive()
	if err != nil {
		return nil, fail(err, "read the state of a pool")
	}
	p := definition.ReadPool(def)
	return &livePool{
		name: p.Name, path: path.Clean(p.Path), uuid: p.UUID, kind: p.Type,
		active: active, capacity: definition.Size(def.Get("capacity")), free: definition.Size(def.Get("available")),
	}, nil
}

// volumeID names a file of the host: "pool/file" when it lies in the folder of a pool, else its path.
func (pools poolIndex) volumeID(file string) string {
	if file == "" {
		return ""
	}
	dir, base := path.Split(file)
	dir = path.Clean(dir)
	best := ""
	for name, p := range pools {
		// Two pools may share a folder; take the same one every time.
		if p.path == dir && (best == "" || name < best) {
			best = name
		}
	}
	if best == "" {
		return file
	}
	return best + "/" + base
}

func (o *observation) readStorage(ctx context.Context) error {
	wanted := map[string]bool{} // pools that hold something wanted
	for _, r := range o.want {
		if id := resource.VolumeID(r); id != "" {
			pool, _, _ := strings.Cut(id, "/")
			wanted[pool] = true
		}
	}
	for name, p := range o.pools {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !p.active && wanted[name] && !o.unfinished[name] {
			return fmt.Errorf("pool %s is not active, so what it holds cannot be seen: start it (virsh pool-start %s), or make sure that %s is there", name, name, p.path)
		}
		if !p.active {
			continue
		}
		ours := wanted[name] || o.want[string(resource.KindPool)+"/"+name] != nil
		err := o.readVolumes(ctx, p, ours)
		if missing(err) {
			continue // it went away meanwhile
		}
		if err != nil && (ours || o.all || o.strict || ctx.Err() != nil || errors.Is(err, drivers.ErrUnavailable)) {
			return err
		}
		// A broken pool that holds nothing of this project is ignored.
	}
	for name, p := range o.pools {
		key := string(resource.KindPool) + "/" + name
		if o.ours(key, nil) {
			o.add(p.object(o.address(key, nil)))
		}
	}
	return nil
}

func (p *livePool) object(addr resource.Addr) *drivers.Object {
	pool := &resource.Pool{UUID: p.uuid, Type: p.kind, Path: p.path, Autostart: new(p.autostart)}
	pool.Addr, pool.Name = addr, p.name
	power := drivers.PowerOff
	if p.active {
		power = drivers.PowerOn
	}
	return &drivers.Object{Resource: pool, Power: power, Capacity: p.capacity, Free: p.free, Path: p.path}
}

// readVolumes reads all volumes of an active pool, also those that are not ours, for their backing files. libvirt is made to
// look at the folder again only for a pool of ours: of what kind others are, and how long they take, nobody knows.
func (o *observation) readVolumes(ctx context.Context, p *livePool, ours bool) error {
	pool, err := o.conn.LookupStoragePoolByName(p.name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "look up pool %s", p.name)
	}
	defer freePool(pool)
	if ours || o.all {
		if err := refresh(pool, p.name); err != nil && ours {
			return err
		}
	}
	if info, err := pool.GetInfo(); err == nil {
		p.capacity, p.free = resource.Size(info.Capacity), resource.Size(info.Available)
	}
	list, err := pool.ListAllStorageVolumes(0)
	if err != nil {
		return fail(err, "list the volumes of pool %s", p.name)
	}
	volumes := pointers(list)
	defer func() {
		for _, v := range volumes {
			freeVolume(v)
		}
	}()
	return each(ctx, len(volumes), func(i int) error {
		err := o.readVolume(ctx, volumes[i], p.name)
		if missing(err) {
			return nil
		}
		return err
	})
}

// refresh lets libvirt look at the pool's folder again. While it works on a volume of the pool itself it refuses to; then
// what it knows is what there is.
func refresh(pool *libvirt.StoragePool, name string) error {
	err := pool.Refresh(0)
	if err != nil && isBusy(err) || notOffered(err) {
		return nil
	}
	return fail(err, "refresh pool %s", name)
}

func (o *observation) readVolume(ctx context.Context, v *libvirt.StorageVol, pool string) error {
	live, err := o.readListed(ctx, v)
	if err != nil {
		return err
	}
	if live.kind != "dir" && o.files != nil {
		o.mu.Lock()
		o.files[pool] = append(o.files[pool], live.name)
		o.mu.Unlock()
	}
	id := pool + "/" + live.name
	key := string(resource.KindVolume) + "/" + id
	backing := o.pools.volumeID(live.backing)
	if strings.Contains(backing, "/") && !strings.HasPrefix(backing, "/") {
		o.addUser(key, []string{string(resource.KindVolume) + "/" + backing})
	}
	want := o.want[key]
	if want == nil && o.all && live.kind != "dir" {
		found := &resource.Volume{}
		found.Name = live.name
		want = found
	}
	if want == nil {
		return nil
	}
	var r resource.Resource
	switch want := want.(type) {
	case *resource.Volume:
		r = &resource.Volume{Size: live.size, Format: live.format, Backing: backing, PoolName: pool, File: live.name}
	case *resource.Image:
		// The name of the file changes with source and checksum, so that it is there says what they were.
		r = &resource.Image{Source: want.Source, Checksum: want.Checksum, Format: live.format, PoolName: pool, File: live.name}
	case *resource.Seed:
		r = &resource.Seed{PoolName: pool, File: live.name}
	}
	r.Base().Addr, r.Base().Name = want.Base().Addr, want.Base().Name
	o.add(&drivers.Object{Resource: r, Path: live.path, Taken: live.taken})
	return nil
}

// liveVolume is a volume as it was read.
type liveVolume struct {
	name, path, format string
	probed             string // the format that libvirt sees in it
	kind               string // "file", "dir", …
	size               resource.Size
	taken              resource.Size // in the pool
	backing            string        // path of the backing file, or empty
	written            string        // when its file was last written to, by the host's clock: "seconds.nanoseconds"
}

func readVolume(v *libvirt.StorageVol) (*liveVolume, error) {
	def, err := volumeTree(v)
	if err != nil {
		return nil, err
	}
	live := &liveVolume{
		name: def.Get("name").Text(), path: def.Get("target", "path").Text(), format: def.Get("target", "format").Attr("type"),
		kind: def.Attr("type"), size: definition.Size(def.Get("capacity")), taken: definition.Size(def.Get("allocation")), backing: def.Get("backingStore", "path").Text(),
		written: def.Get("target", "timestamps", "mtime").Text(),
	}
	live.probed = live.format
	live.ignoreProbed(def.Get("physical"))
	return live, nil
}

func volumeTree(v *libvirt.StorageVol) (*xmltree.Node, error) {
	text, err := v.GetXMLDesc(0)
	if err != nil {
		name, _ := v.GetName()
		return nil, fail(err, "read volume %s", name)
	}
	def, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read a volume: %w", err)
	}
	return def, nil
}

// ignoreProbed takes back what libvirt tells of a raw file by looking into it, for QEMU would not. A guest writes there what it
// likes: an encrypted file system, or the header of an image over any file of the host, which it would be given to read if
// that were believed. What is called .raw was made as that.
func (v *liveVolume) ignoreProbed(physical *xmltree.Node) {
	switch {
	case v.format == "iso":
		v.format = formatRaw
	case strings.HasSuffix(v.name, "."+formatRaw) && v.format != formatRaw:
		v.format, v.backing = formatRaw, ""
		if physical != nil {
			v.size = definition.Size(physical)
		}
	}
}

const formatRaw = "raw"
