//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// folders knows which pools' folders this process can write to itself. Uploading through libvirt makes it read the whole
// pool after every file, so that N seeds cost N² reads; a file that is written into the folder costs nothing but itself.
type folders struct {
	mu    sync.Mutex
	ours  map[string]bool            // by path: proven to be the host's folder, and ours to write to; or not
	files map[string]definition.File // by volume id: written by this process; libvirt may not have looked since
	bases map[string]*liveVolume     // by volume id: what overlays of this run stand on
	left  map[string]leftovers       // by path: what runs before this one left there
}

// leftovers are temporary files, by the name that each was to get.
type leftovers map[string][]string

// folderOf gives the folder of a pool when it is proven to be the same here and on the host, else "".
func (c *call) folderOf(pool *libvirt.StoragePool) (string, error) {
	if c.test || !c.isLocal() {
		return "", nil
	}
	live, err := readPool(pool)
	if err != nil {
		return "", err
	}
	c.folders.mu.Lock()
	defer c.folders.mu.Unlock()
	ours, judged := c.folders.ours[live.path]
	if !judged {
		same, known, err := sameFolder(pool, live)
		if err != nil || !known {
			return "", err // a pool without any file cannot be judged yet
		}
		ours = same && unix.Access(live.path, unix.W_OK|unix.X_OK) == nil
		if c.folders.ours == nil {
			c.folders.ours = map[string]bool{}
		}
		c.folders.ours[live.path] = ours
	}
	if !ours {
		return "", nil
	}
	return live.path, nil
}

// sameFolder compares a file of the pool as libvirt sees it with what is here. The daemon may run on this machine and yet
// see other folders (a container, a mount namespace); the change time of a file, to the nanosecond, tells them apart.
func sameFolder(pool *libvirt.StoragePool, live *livePool) (same, known bool, err error) {
	list, err := pool.ListAllStorageVolumes(0)
	if err != nil {
		return false, false, fail(err, "list the volumes of pool %s", live.name)
	}
	for i, v := range pointers(list) {
		if !same && i < 5 { // one that a guest writes to right now may fail the comparison
			same = sameFile(v, live.path)
		}
		freeVolume(v)
	}
	return same, len(list) > 0, nil
}

func sameFile(v *libvirt.StorageVol, folder string) bool {
	def, err := volumeTree(v)
	if err != nil {
		return false
	}
	var st unix.Stat_t
	if unix.Stat(filepath.Join(folder, def.Get("name").Text()), &st) != nil {
		return false
	}
	changed := def.Get("target", "timestamps", "ctime").Text()
	return changed != "" && changed == fmt.Sprintf("%d.%09d", st.Ctim.Sec, st.Ctim.Nsec)
}

// write puts a file into a folder, whole or not at all. A file of that name is replaced, and what a run that was killed left
// of it is removed.
func (f *folders) write(folder, name string, mode os.FileMode, write func(*os.File) error) error {
	f.removeLeftovers(folder, name)
	return atomicfile.WriteFrom(filepath.Join(folder, name), mode, func(f *os.File) error {
		if err := write(f); err != nil {
			return err
		}
		return f.Chmod(mode)
	})
}

// removeLeftovers reads a folder once: reading it for each of N files that are put there would take N² steps.
func (f *folders) removeLeftovers(folder, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == nil {
		f.left = map[string]leftovers{}
	}
	if f.left[folder] == nil {
		f.left[folder] = atomicfile.Leftovers(folder)
	}
	for _, file := range f.left[folder][name] {
		_ = os.Remove(file)
	}
	delete(f.left[folder], name)
}

// wrote remembers a file that libvirt may not know of yet.
func (f *folders) wrote(id string, file definition.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.files = map[string]definition.File{}
	}
	f.files[id] = file
}

func (f *folders) file(id string) (definition.File, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[id]
	return file, ok
}

func (f *folders) readBase(id string, v *liveVolume) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bases == nil {
		f.bases = map[string]*liveVolume{}
	}
	f.bases[id] = v
}

func (f *folders) base(id string) (*liveVolume, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.bases[id]
	return v, ok
}

func (f *folders) gone(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.files, id)
	delete(f.bases, id)
}
