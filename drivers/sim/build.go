package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// copyOrigin copies what an image is made from.
func (d *driver) copyOrigin(img *resource.Image) error {
	if err := d.clearBuild(img); err != nil {
		return err
	}
	return d.change(func(t *tx) error {
		origin, err := t.atRest(img.Origin)
		if err != nil {
			return fmt.Errorf("volume %s: %w", img.Origin, err)
		}
		return t.allocate(img.CopyID("qcow2"), &Volume{Size: origin.Size, Format: "qcow2", Used: t.wholeUse(img.Origin)})
	})
}

// wholeUse is what the volume takes with all that it is an overlay of.
func (t *tx) wholeUse(id string) (used resource.Size) {
	for _, id := range t.chain(id) {
		used += t.Volumes[id].use()
	}
	return used
}

// clearBuild removes what making the image has left.
func (d *driver) clearBuild(img *resource.Image) error {
	for _, id := range []string{img.BuildID("qcow2"), img.CopyID("qcow2")} {
		if err := d.change(func(t *tx) error { return t.deleteVolume(id) }); err != nil {
			return err
		}
	}
	return nil
}

// build pretends to run what a guest would. A command that is "exit N" fails with that code, if it is one.
func (d *driver) build(ctx context.Context, img *resource.Image, report func(drivers.Progress)) error {
	phases, err := buildPhases(img)
	if err != nil {
		return err
	}
	for _, phase := range phases {
		if err := ctx.Err(); err != nil {
			return err
		}
		report(drivers.Progress{Phase: phase.name})
		if phase.code != 0 {
			return errors.Join(&drivers.BuildError{Step: phase.name, Code: phase.code}, d.clearBuild(img))
		}
	}
	return d.change(func(t *tx) error {
		base := img.Origin
		if img.Copies() {
			base = img.CopyID("qcow2")
		}
		from := t.volume(base)
		if from == nil {
			return fmt.Errorf("volume %s: %w", base, drivers.ErrNotFound)
		}
		return t.allocate(img.BuildID("qcow2"), &Volume{Size: from.Size, Format: "qcow2", Backing: base, Used: thinUse})
	})
}

// buildPhase is one thing that the guest is at, and the exit code it has.
type buildPhase struct {
	name string
	code int
}

// buildPhases lists what the guest is at, one after the other. What it is to do must be known in clear.
func buildPhases(img *resource.Image) ([]buildPhase, error) {
	var phases []buildPhase
	if b := img.Build; b != nil {
		for _, f := range b.Files {
			if _, ok := f.Content.Clear(); !ok {
				return nil, fmt.Errorf("file %s is known only by its hash", f.Path)
			}
		}
		for _, c := range b.Commands {
			text, ok := c.Clear()
			if !ok {
				return nil, fmt.Errorf("command %s is known only by its hash", c.Number)
			}
			phase := buildPhase{name: "run " + c.Number}
			if code, err := strconv.Atoi(strings.TrimPrefix(text, "exit ")); err == nil {
				phase.code = code
			}
			phases = append(phases, phase)
		}
	}
	if img.Seal != nil {
		phases = append(phases, buildPhase{name: "seal"})
	}
	return phases, nil
}

// makeImage makes an image of what was built, or of its origin.
func (d *driver) makeImage(img *resource.Image) (drivers.Result, error) {
	id, from := resource.VolumeID(img), img.Origin
	if img.Builds() {
		from = img.BuildID("qcow2")
	}
	done := resource.Clone(img)
	err := d.change(func(t *tx) error {
		if have := t.volume(id); have != nil && t.volume(img.BuildID("qcow2")) == nil {
			done.Digest = have.Digest
			return nil
		}
		v, err := t.atRest(from)
		if err != nil {
			return fmt.Errorf("volume %s: %w", from, err)
		}
		done.Digest = t.madeDigest(img)
		return t.allocate(id, &Volume{Size: v.Size, Format: img.Format, Used: t.wholeUse(from), Digest: done.Digest})
	})
	if err != nil {
		return drivers.Result{}, err
	}
	return drivers.Result{Object: done}, d.clearBuild(img)
}

// madeDigest stands for the bits that come of the image's origin and what is done to them.
func (t *tx) madeDigest(img *resource.Image) string {
	text, err := json.Marshal([]any{t.volume(img.Origin), img.Build, img.Seal})
	if err != nil {
		panic("sim: an image cannot be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
