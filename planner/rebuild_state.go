package planner

import (
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// Rebuild makes the records of a state that is lost from what the files say and the hosts have. in.State holds Marked's
// records: in.Desired was loaded with them, and the hosts observed for both.
//
// A vm or network is taken by its mark, or by the UUID that this project gave it; the disks that a taken vm owns by being
// attached to it under their label. Volumes, images and pools carry no mark: they are taken when they are exactly where the
// files want them and something taken depends on them, images also for their names.
func Rebuild(in Input) *Rebuilt {
	b := &rebuild{in: in, out: &Rebuilt{Records: map[resource.Addr]*state.Record{}}, taken: map[location]bool{}, skipped: map[location]bool{}}
	for _, r := range in.Desired.All() {
		if b.claimable(r) {
			b.wanted = append(b.wanted, r)
		}
	}
	b.marked()
	b.ownedDisks()
	b.unmarked()
	b.bases()
	b.finish()
	return b.out
}

// marks tells whether such an object carries a mark on its host.
func (b *rebuild) marks(r resource.Resource) bool {
	rules := b.in.Hosts[r.Base().Host].Rules
	return rules != nil && rules.Marks(r.Kind())
}

// marked takes what carries marks.
func (b *rebuild) marked() {
	want := map[resource.Addr]resource.Resource{}
	for _, r := range b.wanted {
		if b.marks(r) {
			want[r.Base().Addr] = r
		}
	}
	for _, rec := range b.in.State.Sorted() {
		was := rec.Object
		addr, at := was.Base().Addr, b.placeOf(was)
		if addr.Part != "" || b.live(at) == nil {
			continue
		}
		r := want[addr]
		delete(want, addr)
		switch {
		case rec.Status == state.StatusReleased:
			b.take(was, at, rec.Status, "has this project's mark, released")
		case r == nil:
			b.take(was, at, rec.Status, "has this project's mark, and is not in the files")
		case b.placeOf(r) != at:
			// The files give it another name or host: the next plan shows what becomes of it.
			b.take(was, at, rec.Status, "has this project's mark, under another name")
		default:
			b.take(r, at, rec.Status, "has this project's mark")
		}
	}
	for _, addr := range slices.SortedFunc(maps.Keys(want), resource.Compare) {
		r := want[addr]
		at := b.placeOf(r)
		live := b.live(at)
		switch {
		case live == nil:
		case live.Mark == nil && uuidOf(r) != "" && uuidOf(r) == uuidOf(live.Resource):
			b.take(r, at, state.StatusReady, "has the UUID that this project gives it")
		case live.Mark == nil:
			b.skip(r, at, "has no mark")
		case live.Mark.Lineage != b.in.State.Lineage:
			b.skip(r, at, "has the mark of project "+live.Mark.Lineage)
		default:
			b.skip(r, at, "has the mark of "+live.Mark.Addr.String())
		}
	}
	b.duplicateMarks()
}

// duplicateMarks are live objects whose mark another one has as well.
func (b *rebuild) duplicateMarks() {
	for _, o := range liveObjects(b.in.Hosts) {
		at := o.location
		if o.Mark != nil && o.Mark.Lineage == b.in.State.Lineage && !b.taken[at] && !b.skipped[at] {
			r := resource.Clone(o.Resource)
			r.Base().Addr, r.Base().Host = o.Mark.Addr, at.host
			why := "has the same mark as another, like a copy made by hand"
			if o.builds() {
				why = leftBuilding(o.Mark.Addr)
			}
			b.skip(r, at, why)
		}
	}
}

// ownedDisks takes what is attached to taken vms as a disk of their own.
func (b *rebuild) ownedDisks() {
	wanted := map[location]resource.Resource{}
	parts := map[resource.Addr]resource.Resource{}
	for _, r := range b.wanted {
		if r.Base().Addr.Part != "" {
			parts[r.Base().Addr] = r
		}
		wanted[b.placeOf(r)] = r
	}
	for _, rec := range b.in.State.Sorted() {
		was := rec.Object
		addr, at := was.Base().Addr, b.placeOf(was)
		owner := b.out.Records[addr.Owner()]
		if addr.Part == "" || owner == nil || b.live(at) == nil || b.taken[at] {
			continue
		}
		vm := owner.Object.(*resource.VM)
		was = b.asLive(was, at)
		part := parts[addr]
		switch there := wanted[at]; {
		case part != nil && b.placeOf(part) == at:
			b.take(part, at, owner.Status, "is attached to "+vm.Addr.String())
		case there != nil && there.Base().Addr.Part == "":
			// It has a block of its own: unmarked looks at it.
		case part != nil:
			b.take(was, at, owner.Status, "is attached to "+vm.Addr.String())
		case !ownedName(was, vm):
			b.skip(was, at, "is attached to "+vm.Addr.String()+", and no file names it")
		case !slices.Equal(b.live(at).Users, []string{resource.Key(vm)}):
			b.skip(was, at, "is attached to "+vm.Addr.String()+", and used by others as well")
		default:
			// Whether it was to be kept is not known any more, so it is.
			if vol, ok := was.(*resource.Volume); ok {
				vol.OnDelete = "retain"
			}
			b.take(was, at, owner.Status, "is attached to "+vm.Addr.String()+", and has the name of a disk of its own")
		}
	}
}

// asLive is the part with all that its host tells of it.
func (b *rebuild) asLive(part resource.Resource, at location) resource.Resource {
	part = resource.Clone(part)
	vol, ok := part.(*resource.Volume)
	live, _ := b.live(at).Resource.(*resource.Volume)
	if ok && live != nil {
		vol.Size, vol.Format, vol.Backing = live.Size, live.Format, live.Backing
	}
	return part
}

// ownedName tells whether the file is called as one that the vm owns is by default.
func ownedName(r resource.Resource, vm *resource.VM) bool {
	switch r := r.(type) {
	case *resource.Seed:
		return strings.HasPrefix(r.File, vm.Name+"-"+seedDisk+"-")
	case *resource.Volume:
		label := strings.TrimPrefix(r.Addr.Part, "disk.")
		return r.File == vm.Name+"-"+label+"."+r.Format
	}
	return false
}

// unmarked takes images and volumes that taken objects depend on, and the pools that hold what is taken.
func (b *rebuild) unmarked() {
	left := b.wanted
	for again := true; again; {
		again = false
		left = slices.DeleteFunc(slices.Clone(left), func(r resource.Resource) bool {
			at := b.placeOf(r)
			if b.taken[at] || r.Base().Addr.Part != "" || b.live(at) == nil || b.marks(r) {
				return true
			}
			why, status := b.whyOurs(r, at)
			if why != "" {
				b.take(r, at, status, why)
				again = true
			}
			return why != ""
		})
	}
	for _, r := range left {
		if pool, ok := r.(*resource.Pool); ok && pool.Implicit {
			continue // the host's own
		}
		b.skip(r, b.placeOf(r), "has no mark, and nothing of this project uses it")
	}
}

// whyOurs tells why an object without a mark is taken, and as what; the reason is empty when it is not.
func (b *rebuild) whyOurs(r resource.Resource, at location) (string, state.Status) {
	live := b.live(at)
	if pool, ok := r.(*resource.Pool); ok {
		return b.whyOurPool(pool, at), state.StatusReady
	}
	for _, user := range live.Users {
		if b.taken[location{at.host, user}] {
			_, name, _ := strings.Cut(user, "/")
			return "is used by " + name, state.StatusReady
		}
	}
	if img, ok := b.normal(r).(*resource.Image); ok {
		return b.whyOurImage(img, at)
	}
	return "", ""
}

func (b *rebuild) whyOurPool(pool *resource.Pool, at location) string {
	switch {
	case pool.UUID != "" && pool.UUID == uuidOf(b.live(at).Resource):
		return "has the UUID that this project gives it"
	case pool.Implicit:
		return ""
	}
	for other := range b.taken {
		if other.host == at.host && strings.HasPrefix(other.key, "volume/"+pool.Name+"/") {
			return "holds volumes of this project"
		}
	}
	return ""
}

// finish lets objects that are in no file refer to what they use, and records the hosts.
func (b *rebuild) finish() {
	at := map[location]resource.Addr{}
	for addr, rec := range b.out.Records {
		at[b.placeOf(rec.Object)] = addr
	}
	used := map[string]bool{}
	for _, rec := range b.out.Records {
		host := rec.Object.Base().Host
		used[host] = true
		if vm, ok := rec.Object.(*resource.VM); ok && b.in.Desired.Get(vm.Addr) == nil {
			for i, d := range vm.Disks {
				vm.Disks[i].Volume = at[location{host, volumeKey(d.Source)}]
			}
			for i, n := range vm.NICs {
				vm.NICs[i].Network = at[location{host, "network/" + n.Source}]
			}
			rec.DependsOn = requiredBy(vm)
		}
	}
	for h := range resource.Of[*resource.Host](b.in.Desired) {
		if used[h.Label()] {
			was := resource.Clone(h)
			was.Machine = b.in.Hosts[h.Label()].Observed.Facts.UUID
			b.out.Records[h.Addr] = &state.Record{Object: was, Status: state.StatusReady}
		}
	}
	byAddr := func(x, y Claim) int { return resource.Compare(x.Addr, y.Addr) }
	slices.SortStableFunc(b.out.Taken, byAddr)
	slices.SortStableFunc(b.out.Left, byAddr)
}
