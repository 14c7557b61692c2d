package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Downloads is how much a plan's images have to fetch. The zero value is nothing.
type Downloads struct {
	Bytes   map[resource.Addr]int64 // 0: the cache has them
	Unknown int                     // images whose size nobody told
}

// add asks the store about img. The error is why it could not be told.
func (d *Downloads) add(ctx context.Context, store ImageStore, img *resource.Image) error {
	n, known, err := store.Probe(ctx, img)
	if err != nil || !known {
		d.Unknown++
		return err
	}
	if d.Bytes == nil {
		d.Bytes = map[resource.Addr]int64{}
	}
	d.Bytes[img.Addr] = n
	return nil
}

// checkImages adds to a plan what only the sources of images tell.
func (p *Project) checkImages(ctx context.Context, plan *Plan) {
	downloads, findings := p.downloads(ctx, plan.Plan)
	if !plan.Options.Destroy {
		findings = append(findings, p.newer(ctx, plan.Plan, findings)...)
	}
	plan.Downloads = downloads
	plan.Findings = append(append(plan.Findings, findings...), p.otherArch(plan.Plan)...)
}

// asking bounds how many servers are asked at once about their images.
const asking = 8

// downloads asks the image store how much the plan's image imports have to fetch. A file that is not there is a mistake, and
// that a server does not answer as it should is worth a warning: it may by the time of apply.
func (p *Project) downloads(ctx context.Context, plan *planner.Plan) (Downloads, []planner.Finding) {
	images := toImport(plan)
	var d Downloads
	var findings []planner.Finding
	for _, addr := range slices.SortedFunc(maps.Keys(images), resource.Compare) {
		err := d.add(ctx, p.images, images[addr])
		if err == nil || ctx.Err() != nil {
			continue
		}
		findings = append(findings, imageFinding(images[addr], err))
	}
	return d, findings
}

// toImport gives the images that a plan imports.
func toImport(p *planner.Plan) map[resource.Addr]*resource.Image {
	images := map[resource.Addr]*resource.Image{}
	for _, step := range p.Steps {
		if c, ok := step.Op.Op.(*drivers.Create); ok {
			if img, ok := c.Target().(*resource.Image); ok && img.From.IsZero() {
				images[img.Addr] = img
			}
		}
	}
	return images
}

// otherArch warns of names that stand for an image of another architecture than the host's, unless they say which.
func (p *Project) otherArch(plan *planner.Plan) []planner.Finding {
	var out []planner.Finding
	images := toImport(plan)
	for _, addr := range slices.SortedFunc(maps.Keys(images), resource.Compare) {
		img := images[addr]
		arch := p.seen.Hosts[img.Host].Observed.Facts.Arch
		if !catalogue.IsName(img.Source) || strings.Contains(img.Source, "@") || arch == "" || arch == catalogue.DefaultArch {
			continue
		}
		out = append(out, planner.Finding{
			Severity: planner.SeverityWarning, Addr: addr, Path: "source", Summary: "the image is for another architecture",
			Detail: fmt.Sprintf("%[1]s stands for its build for %[2]s, and host.%[3]s is %[4]s. If that is not meant: %[1]s@%[4]s", img.Source, catalogue.DefaultArch, img.Host, arch),
		})
	}
	return out
}

// imageFinding says why an image cannot be had.
func imageFinding(img *resource.Image, err error) planner.Finding {
	location := resource.Redact(img.Source)
	f := planner.Finding{Severity: planner.SeverityError, Addr: img.Addr, Path: "source"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Summary, f.Detail = "the image is missing", fmt.Sprintf("There is no file %s. A relative path starts at the project's folder.", location)
	case errors.Is(err, drivers.ErrUnusable):
		f.Summary, f.Detail = "the image cannot be had", fmt.Sprintf("%s: %v", location, err)
	case errors.Is(err, drivers.ErrMoved):
		f.Summary, f.Detail = "the image moved", fmt.Sprintf("%s: %v", location, err)
	default:
		f.Severity, f.Summary, f.Detail = planner.SeverityWarning, "the image cannot be looked at", fmt.Sprintf("%s: %v. Apply tries again.", location, err)
	}
	return f
}

// newer tells of images that the lock holds to another version than their source has now. Those that said is of already are
// left out.
func (p *Project) newer(ctx context.Context, plan *planner.Plan, said []planner.Finding) []planner.Finding {
	needed := toImport(plan)
	var images []*resource.Image
	for img := range resource.Of[*resource.Image](p.config.Set) {
		_, locked := p.files.Lock().Of(img)
		if locked && !slices.ContainsFunc(said, func(f planner.Finding) bool { return f.Addr == img.Addr }) {
			images = append(images, img)
		}
	}
	found := make([]*planner.Finding, len(images))
	var group errgroup.Group
	group.SetLimit(asking)
	for i, img := range images {
		group.Go(func() error {
			found[i] = p.newerThan(ctx, img, needed[img.Addr] != nil)
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	var out []planner.Finding
	for _, f := range found {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// newerThan tells of one image; needed: its bits are still to be had.
func (p *Project) newerThan(ctx context.Context, img *resource.Image, needed bool) *planner.Finding {
	newer, err := p.images.Newer(ctx, img)
	f := &planner.Finding{Severity: planner.SeverityWarning, Addr: img.Addr, Path: "source"}
	switch {
	case ctx.Err() != nil || err == nil && !newer:
		return nil
	case err != nil:
		f.Summary, f.Detail = "the image cannot be looked at", fmt.Sprintf("%s: %v. So it is not known whether there is a newer one.", resource.Redact(img.Source), err)
	default:
		stays := "stays in use"
		if needed {
			stays = "is the only one that apply takes, from the cache if it is there no more"
		}
		f.Summary = "there is a newer image"
		f.Detail = fmt.Sprintf("%s has another version now than the one that is locked, which %s. To take the newer one: vmplan image update %s", resource.Redact(img.Source), stays, img.Addr)
	}
	return f
}
