//go:build linux

// Command bench measures vmplan's speed and memory and prints each figure beside its floor, taken in the same run, and its
// target. It asserts nothing: machines differ. It must run as root on a machine with libvirt (see make setup).
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// bench is one run: the programs under test and the table so far.
type bench struct {
	dir, vmplan, floor string
	table              *tabwriter.Writer
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: bench VMPLAN FLOOR")
		os.Exit(1)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(vmplan, floor string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, vmplan: vmplan, floor: floor, table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(b.table, "figure\tmeasured\tfloor\tratio\ttarget")
	for _, part := range []func(context.Context) error{b.version, b.simulated, b.images, b.libvirt} {
		if err := part(context.Background()); err != nil {
			return err
		}
	}
	return b.table.Flush()
}

// row prints one line; floor 0 means there is none.
func (b *bench) row(what string, took, floor time.Duration, target string) {
	if floor == 0 {
		fmt.Fprintf(b.table, "%s\t%.3f s\t–\t–\t%s\n", what, took.Seconds(), target)
		return
	}
	fmt.Fprintf(b.table, "%s\t%.3f s\t%.3f s\t%.2f\t%s\n", what, took.Seconds(), floor.Seconds(), float64(took)/float64(floor), target)
}

func (b *bench) version(context.Context) error {
	took, _, err := b.median(9, b.dir, "version")
	if err != nil {
		return err
	}
	floor, err := medianOf(9, func() (time.Duration, error) {
		begin := time.Now()
		err := exec.Command("true").Run()
		return time.Since(begin), err
	})
	b.row("vmplan version (floor: true)", took, floor, "< 0.015 s")
	return err
}

// simulated measures plans from empty on a simulated host.
func (b *bench) simulated(context.Context) error {
	var took [2]time.Duration
	for i, n := range []int{1000, 10000} {
		dir, err := b.project(fmt.Sprintf("sim%d", n), "sim:lab.json", n)
		if err != nil {
			return err
		}
		var rss int64
		if took[i], rss, err = b.median(3, dir, "plan"); err != nil {
			return err
		}
		b.row(fmt.Sprintf("plan from empty, %d vms, sim (%d MiB)", n, rss>>20), took[i], 0, []string{"< 1 s", "–"}[i])
	}
	b.row("plan of 10,000 vms beside 1,000", took[1], took[0], "ratio <= 12")
	return nil
}

// libvirt measures on a private libvirt host: apply against the calls by hand, then plan against a dump.
func (b *bench) libvirt(ctx context.Context) error {
	h, err := libvirttest.New(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	var took, floor [2]float64 // seconds per vm
	for i, n := range []int{100, 300} {
		if took[i], floor[i], err = b.apply(h, n, []string{"–", "ratio <= 1.5"}[i]); err != nil {
			return err
		}
	}
	grew, floorGrew := took[1]/took[0], floor[1]/floor[0]
	fmt.Fprintf(b.table, "cost of a vm among 300 beside among 100\t%.2f\t%.2f\t%.2f\tgrows no more than libvirt's\n", grew, floorGrew, grew/floorGrew)
	return b.noop(h, 1000)
}

func (b *bench) apply(h *libvirttest.Host, n int, target string) (perVM, floorPerVM float64, err error) {
	dir, err := b.project(fmt.Sprintf("apply%d", n), h.URI, 0)
	if err != nil {
		return 0, 0, err
	}
	if _, _, err := b.once(dir, "apply", "--auto-approve", "--var", "n=0"); err != nil {
		return 0, 0, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "pool", "base-*"))
	if err != nil {
		return 0, 0, err
	}
	if len(files) != 1 {
		return 0, 0, fmt.Errorf("expected one base image, found %v", files)
	}
	floor, err := b.runFloor("apply", h.URI, "bench", strconv.Itoa(n), "4", filepath.Base(files[0]), filepath.Join(dir, "pool"))
	if err != nil {
		return 0, 0, err
	}
	if err := b.sweep(h, filepath.Join(dir, "pool")); err != nil {
		return 0, 0, err
	}
	took, rss, err := b.once(dir, "apply", "--auto-approve", "--var", "n="+strconv.Itoa(n))
	if err != nil {
		return 0, 0, err
	}
	b.row(fmt.Sprintf("apply of %d vms, defined (%d MiB)", n, rss>>20), took, floor, target)
	if _, _, err := b.once(dir, "destroy", "--auto-approve", "--var", "n=0"); err != nil {
		return 0, 0, err
	}
	return took.Seconds() / float64(n), floor.Seconds() / float64(n), nil
}

// runFloor runs the bare calls and gives how long they took.
func (b *bench) runFloor(args ...string) (time.Duration, error) {
	cmd := exec.Command(b.floor, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("floor %s: %w: %s", args[0], err, stderr.String())
	}
	return time.ParseDuration(strings.TrimSpace(string(out)) + "s")
}

// sweep removes what the floor made, so that both start from the same.
func (b *bench) sweep(h *libvirttest.Host, pool string) error {
	script := `for d in $(virsh -c "$1" list --all --name); do virsh -c "$1" undefine "$d"; done; rm -f "$2"/floor-*; virsh -c "$1" pool-refresh bench`
	out, err := exec.Command("sh", "-c", script, "sh", h.URI, pool).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sweep: %w: %s", err, out)
	}
	return nil
}

func (b *bench) noop(h *libvirttest.Host, n int) error {
	dir, err := b.project("noop", h.URI, n)
	if err != nil {
		return err
	}
	if _, _, err := b.once(dir, "apply", "--auto-approve"); err != nil {
		return err
	}
	floor, err := medianOf(5, func() (time.Duration, error) {
		return b.runFloor("read", h.URI)
	})
	if err != nil {
		return err
	}
	took, rss, err := b.median(5, dir, "plan", "--detailed-exitcode")
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("no-op plan of %d vms on libvirt (%d MiB, target 150)", n, rss>>20), took, floor, "ratio <= 2")
	return nil
}

// project writes a project with n vms that are defined and not started.
func (b *bench) project(name, uri string, n int) (dir string, err error) {
	dir = filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	disk := filepath.Join(dir, "base.raw")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o644); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`variable "n" {
  type    = number
  default = %d
}
host "lab" { uri = %q }
pool "bench" { path = %q }
network "lan" { cidr = "10.80.0.0/16" }
image "base" {
  source = %q
  format = "raw"
}
vm "web" {
  count   = var.n
  image   = image.base
  memory  = "128MiB"
  running = false
  disk "root" { size = "1GiB" }
  nic "lan" { network = network.lan }
  cloud_init { hostname = "web-${count.index}" }
}
`, n, uri, filepath.Join(dir, "pool"), disk)
	return dir, os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644)
}

// once runs vmplan in dir and gives wall time and peak memory in bytes.
func (b *bench) once(dir string, args ...string) (took time.Duration, rss int64, err error) {
	cmd := exec.Command(b.vmplan, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VMPLAN_CACHE="+filepath.Join(b.dir, "cache"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("vmplan %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	took = time.Since(begin)
	return took, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, nil
}

// median runs vmplan n times and gives the median time and the largest peak memory.
func (b *bench) median(n int, dir string, args ...string) (took time.Duration, rss int64, err error) {
	took, err = medianOf(n, func() (time.Duration, error) {
		t, m, err := b.once(dir, args...)
		rss = max(rss, m)
		return t, err
	})
	return took, rss, err
}

func medianOf(n int, measure func() (time.Duration, error)) (time.Duration, error) {
	all := make([]time.Duration, n)
	for i := range all {
		var err error
		if all[i], err = measure(); err != nil {
			return 0, err
		}
	}
	return median(all), nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
