//go:build !nolibvirt

package libvirt

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"
)

// libvirt lists a volume before its file exists. Reading such a volume fails with "no such volume", which here does not mean
// that it is gone: a killed run or another client began it, and libvirt goes on making it.

// madePoll is how often libvirt is asked whether it has made a volume.
const madePoll = 20 * time.Millisecond

// beingMade tells whether libvirt still makes the volume. It says so when the content is asked for.
func (s *session) beingMade(v *libvirt.StorageVol) (bool, error) {
	stream, err := s.conn.NewStream(0)
	if err != nil {
		return false, fail(err, "open a stream")
	}
	defer func() { _ = stream.Free() }()
	if err := v.Download(stream, 0, 0, 0); err != nil {
		return isBeingMade(err), nil
	}
	_ = stream.Abort()
	return false, nil
}

// readListed reads a volume that libvirt lists; one without a file yet is waited for.
func (s *session) readListed(ctx context.Context, v *libvirt.StorageVol) (*liveVolume, error) {
	live, err := readVolume(v)
	for missing(err) {
		making, askErr := s.beingMade(v)
		if askErr != nil {
			return nil, askErr
		}
		if live, err = readVolume(v); !missing(err) || !making {
			break
		}
		if pauseErr := pause(ctx, madePoll); pauseErr != nil {
			return nil, pauseErr
		}
	}
	return live, err
}

// awaitMade waits until libvirt has made a volume that it knows of.
func (c *call) awaitMade(id string) error {
	v, err := c.volume(id)
	if err != nil {
		return err
	}
	defer freeVolume(v)
	for {
		making, err := c.beingMade(v)
		if err != nil || !making {
			return err
		}
		if err := pause(c.ctx, madePoll); err != nil {
			return err
		}
	}
}
