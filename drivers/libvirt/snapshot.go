//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// snapshots are a domain's. An external one has put an overlay over each disk, which the guest has written to since. These belong
// to the vm: its disk is still the volume below, which is as large as the guest sees it, and they go when the vm goes.
type snapshots struct {
	names []string
	below map[string]string // an overlay → what it was put over, as diskSource has them
}

// snapshotTrees asks for the descriptions of a domain's snapshots.
func snapshotTrees(dom *libvirt.Domain) ([]*xmltree.Node, error) {
	list, err := dom.ListAllSnapshots(0)
	if missing(err) || notOffered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(err, "list snapshots")
	}
	all := pointers(list)
	defer func() {
		for _, s := range all {
			_ = s.Free()
		}
	}()
	var out []*xmltree.Node
	for _, s := range all {
		text, err := s.GetXMLDesc(0)
		if hasCode(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
			continue
		}
		if err != nil {
			return nil, fail(err, "read a snapshot")
		}
		def, err := xmltree.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read a snapshot: %w", err)
		}
		out = append(out, def)
	}
	return out, nil
}

// readSnapshots tells what a domain's snapshots have put over its disks.
func readSnapshots(trees []*xmltree.Node, pools poolIndex) *snapshots {
	out := &snapshots{below: map[string]string{}}
	for _, def := range trees {
		out.add(def, pools)
	}
	slices.Sort(out.names)
	return out
}

func (s *snapshots) add(def *xmltree.Node, pools poolIndex) {
	name := "snapshot " + def.Get("name").Text()
	was := map[string]string{}
	for _, disk := range def.Get("domain", "devices").All("disk") {
		was[disk.Get("target").Attr("dev")] = pools.diskSource(disk)
	}
	external := false
	for _, disk := range def.Get("disks").All("disk") {
		overlay := pools.diskSource(disk)
		if base := was[disk.Attr("name")]; disk.Attr("snapshot") == "external" && overlay != "" && base != "" && base != overlay {
			s.below[overlay], external = base, true
		}
	}
	if external {
		name += " and what was written since"
	}
	s.names = append(s.names, name)
}

// base is what lies under the overlays of external snapshots.
func (s *snapshots) base(source string) string {
	for range len(s.below) {
		below, ok := s.below[source]
		if !ok {
			break
		}
		source = below
	}
	return source
}

// fold takes the overlays of external snapshots out of a vm's disks.
func (s *snapshots) fold(vm *resource.VM) {
	for i := range vm.Disks {
		vm.Disks[i].Source = s.base(vm.Disks[i].Source)
	}
}

// foldSnapshots makes of a domain with snapshots what it is without them, and remembers the overlays for foldOverlays.
func (o *observation) foldSnapshots(trees []*xmltree.Node, object *drivers.Object) *snapshots {
	s := readSnapshots(trees, o.pools)
	o.mu.Lock()
	for overlay := range s.below {
		o.overlays[overlay] = resource.Key(object.Resource)
	}
	for _, disk := range object.Resource.(*resource.VM).Disks {
		if base := s.base(disk.Source); base != disk.Source {
			o.tops[base] = disk.Source
		}
	}
	o.mu.Unlock()
	for _, r := range []resource.Resource{object.Resource, object.Running} {
		if vm, ok := r.(*resource.VM); ok {
			s.fold(vm)
		}
	}
	return s
}

// foldOverlays gives volumes under external snapshots the size that their guests see, and makes the vms the overlays belong to
// users of what the overlays stand on.
func (o *observation) foldOverlays() error {
	if len(o.overlays) == 0 {
		return nil
	}
	for base, top := range o.tops {
		object := o.objects[string(resource.KindVolume)+"/"+base]
		if object == nil {
			continue
		}
		vol, ok := object.Resource.(*resource.Volume)
		if !ok || strings.HasPrefix(top, "/") {
			continue
		}
		over, err := (&call{session: o.session}).volume(top)
		if err != nil {
			return fmt.Errorf("read what a snapshot has put over %s: %w", base, err)
		}
		live, err := readVolume(over)
		freeVolume(over)
		if err != nil {
			return fmt.Errorf("read what a snapshot has put over %s: %w", base, err)
		}
		vol.Size = live.size
	}
	for key, users := range o.users {
		for i, user := range users {
			id, ok := strings.CutPrefix(user, string(resource.KindVolume)+"/")
			if owner := o.overlays[id]; ok && owner != "" {
				users[i] = owner
			}
		}
		o.users[key] = union(nil, users)
	}
	return nil
}

// topOf is the overlay that the guest writes to instead of the volume, or the volume itself.
func (c *call) topOf(id string) (string, error) {
	list, err := c.conn.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)
	if notOffered(err) {
		return id, nil
	}
	if err != nil {
		return "", fail(err, "list domains with snapshots")
	}
	if len(list) == 0 {
		return id, nil
	}
	pools, err := readPools(c.session)
	if err != nil {
		return "", err
	}
	for _, dom := range pointers(list) {
		top, err := topIn(dom, pools, id)
		freeDomain(dom)
		if err != nil {
			return "", err
		}
		if top != "" {
			id = top
		}
	}
	return id, nil
}

func topIn(dom *libvirt.Domain, pools poolIndex, id string) (string, error) {
	trees, err := snapshotTrees(dom)
	if err != nil {
		return "", err
	}
	s := readSnapshots(trees, pools)
	if len(s.below) == 0 {
		return "", nil
	}
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return "", ignoreMissing(err)
	}
	for _, disk := range def.Get("devices").All("disk") {
		if source := pools.diskSource(disk); source != id && s.base(source) == id {
			return source, nil
		}
	}
	return "", nil
}

// deleteOverlays deletes what external snapshots have put over the vm's disks, unless another uses it.
func (c *call) deleteOverlays(dom *libvirt.Domain, vm *resource.VM) error {
	pools, err := readPools(c.session)
	if err != nil {
		return err
	}
	trees, err := snapshotTrees(dom)
	if err != nil {
		return err
	}
	s := readSnapshots(trees, pools)
	own := []string{resource.Key(vm)}
	for overlay := range s.below {
		own = append(own, string(resource.KindVolume)+"/"+overlay)
	}
	for overlay := range s.below {
		if strings.HasPrefix(overlay, "/") {
			c.env.Log.Warn("what a snapshot has put over a disk lies in no pool, and stays", "vm", vm.Name, "file", overlay)
			continue
		}
		users, err := c.usersOf(overlay, true)
		if err != nil {
			return err
		}
		if users = slices.DeleteFunc(users, func(u string) bool { return slices.Contains(own, u) }); len(users) > 0 {
			return fmt.Errorf("snapshot volume %s: %w by %s", overlay, drivers.ErrInUse, joinUsers(users))
		}
		if err := c.deleteOverlay(overlay); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) deleteOverlay(id string) error {
	pool, _, _ := splitSource(id)
	if err := c.refreshPoolOf(id); err != nil {
		return fmt.Errorf("look for snapshot volumes in pool %s: %w", pool, err)
	}
	vol, err := c.volume(id)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer freeVolume(vol)
	if err := vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL); !missing(err) {
		return fail(err, "delete snapshot volume %s", id)
	}
	return nil
}
