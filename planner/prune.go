package planner

import (
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// ImageUse is an image that is recorded, and what depends on its base.
type ImageUse struct {
	Image  *resource.Image
	Host   string
	Status state.Status
	Live   *drivers.Object // nil when the base is not on the host
	// Wanted tells that the files have this very base: a replaced image leaves one that they do not have, as long as disks
	// stay on it.
	Wanted bool
	// Users are all that depend on the base through any number of backing files, and the vms of those: the addresses of what is
	// recorded, "vm NAME" and "volume POOL/FILE" for what is not ours. In order.
	Users []string

	record   *state.Record
	replaced bool // by one that is not whole yet
}

// ImageUses lists the recorded images in order of address. Hosts must have been observed whole.
func ImageUses(in Input) []ImageUse {
	ours := map[location]resource.Addr{}
	for addr, rec := range in.State.Records {
		ours[recordedLocation(in, rec)] = addr
	}
	var out []ImageUse
	for _, addr := range slices.SortedFunc(maps.Keys(in.State.Records), resource.Compare) {
		rec := in.State.Records[addr]
		img, ok := rec.Object.(*resource.Image)
		if !ok {
			continue
		}
		at := recordedLocation(in, rec)
		u := ImageUse{Image: img, Host: at.host, Status: rec.Status, record: rec}
		if want, ok := in.Desired.Get(addr).(*resource.Image); ok {
			u.Wanted = resource.VolumeID(want) == resource.VolumeID(img) && want.Host == img.Host
		}
		u.Wanted = u.Wanted || in.keepsRecorded(addr)
		if next := in.State.Records[addr.Owner()]; isLeftBehind(addr) && next != nil {
			u.replaced = mayBeHalf(next)
		}
		if h, ok := in.Hosts[at.host]; ok {
			u.Live = h.Observed.Objects[at.key]
			u.Users = usersOf(h.Observed.Objects, at, ours)
		}
		out = append(out, u)
	}
	return out
}

// keeps tells whether the files say of what is recorded at addr that it has another address now, or that it stays on its host.
func (in *Input) keepsRecorded(addr resource.Addr) bool {
	return slices.ContainsFunc(in.Moves, func(m resource.Move) bool { return m.From == addr }) ||
		slices.ContainsFunc(in.Removed, func(r resource.Removal) bool { return !r.Cascade && r.From.Contains(addr) })
}

// usersOf names all that uses the object at a place, through backing files.
func usersOf(objects map[string]*drivers.Object, at location, ours map[location]resource.Addr) []string {
	seen := map[string]bool{at.key: true}
	var names []string
	for next := []string{at.key}; len(next) > 0; next = next[1:] {
		live := objects[next[0]]
		if live == nil {
			continue
		}
		for _, user := range live.Users {
			if seen[user] {
				continue
			}
			seen[user] = true
			next = append(next, user)
			if addr, ok := ours[location{at.host, user}]; ok {
				names = append(names, addr.String())
			} else {
				names = append(names, strings.Replace(user, "/", " ", 1))
			}
		}
	}
	slices.Sort(names)
	return names
}

// Unused tells whether the base can go: it is ours and not protected, the files do not have it, nothing at all depends on it, and
// what is made in its place, if that is so, is whole.
func (u *ImageUse) Unused() bool {
	if l := u.Image.Lifecycle; l != nil && l.PreventDestroy {
		return false
	}
	return u.Live != nil && !u.Wanted && !u.replaced && u.Image.IsManaged() && u.Status != state.StatusReleased && len(u.Users) == 0 && len(u.Live.Users) == 0
}

// PruneImages makes the plan that deletes those of the images that are Unused.
func PruneImages(in Input, uses []ImageUse) *Plan {
	a := newActionPlan(in)
	for i := range uses {
		u := &uses[i]
		if !u.Unused() {
			continue
		}
		intent := *u.record
		intent.Status = state.StatusDeleting
		a.step(subject{addr: u.Image.Addr, host: u.Host, cause: "nothing uses it"}, drivers.NewDelete(u.Image), drivers.ImpactDestroy).Intent = &intent
		delete(a.last, u.Image.Addr.Owner()) // images do not wait for each other
	}
	return a.finish()
}
