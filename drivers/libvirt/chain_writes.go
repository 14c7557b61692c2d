//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"maps"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// chainWrites has the times of the last writes to a volume and its backing files, by path, taken while no guest writes to them.
// A guest may be started and stopped while they are read, so the reader checks again at the end.
type chainWrites struct {
	*call
	live  *liveVolume
	files map[string]string
}

// checkNoWriter makes sure that no running guest writes to the volume or to what it stands on.
func (c *call) checkNoWriter(live *liveVolume) (*chainWrites, error) {
	files, err := c.chainOf(live)
	if err != nil {
		return nil, err
	}
	err = c.eachRunning(func(dom *libvirt.Domain, def *xmltree.Node) error {
		for _, disk := range def.Get("devices").All("disk") {
			file := disk.Get("source").Attr("file")
			if _, ok := files[file]; ok && disk.Get("readonly") == nil {
				return fmt.Errorf("%w: vm %s runs and writes to %s: shut it down first", drivers.ErrInUse, def.Get("name").Text(), file)
			}
		}
		return nil
	})
	return &chainWrites{c, live, files}, err
}

// recheck makes sure that what was read since was read whole.
func (s *chainWrites) recheck() error {
	now, err := s.checkNoWriter(s.live)
	if err != nil {
		return err
	}
	if !maps.Equal(s.files, now.files) {
		return fmt.Errorf("%w: %s, or what it stands on, was written to while it was read, so that what was read may be torn: leave its vm off until this is done, and do it again", drivers.ErrInUse, s.live.path)
	}
	return nil
}

// chainOf lists the files of a volume and of all it stands on, as far as they lie in pools, with when they were last written to.
// What room they take tells nothing: file systems settle that later.
func (c *call) chainOf(live *liveVolume) (map[string]string, error) {
	files := map[string]string{}
	for path := live.path; path != ""; {
		if _, known := files[path]; known {
			break
		}
		files[path] = ""
		vol, err := c.conn.LookupStorageVolByPath(path)
		if missing(err) {
			break
		}
		if err != nil {
			return nil, fail(err, "look up the volume at %s", path)
		}
		now, err := readVolume(vol)
		freeVolume(vol)
		if err != nil {
			return nil, err
		}
		files[path] = now.written
		path = now.backing
	}
	return files, nil
}
