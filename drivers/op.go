package drivers

import (
	"encoding/json"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// Op is one idempotent change of one object. The set is sealed; ops are plain data that serialise.
type Op interface {
	// Target is the object the op is about.
	Target() resource.Resource
	// Verb is the op's name: "create", "start", …
	Verb() string
	setTarget(resource.Resource)
}

type target struct{ object resource.Resource }

func (t *target) Target() resource.Resource     { return t.object }
func (t *target) setTarget(r resource.Resource) { t.object = r }

// Create makes the object: defines (and for pools and networks starts and autostarts), allocates, or imports it; an image that is
// not imported is made of what Build left, or else of its Origin: flattened, without what is empty. A vm is
// left off. With Mark, what can carry it bears it from the first moment. Anything under the object's Key that is there
// already and is not this very object (for a vm, network or pool: same UUID) is ErrConflict. A volume with CopyOf gets all
// that the other volume holds, which then may go; when a running guest writes to that, also if only meanwhile, it is ErrInUse.
// A copy that fails leaves nothing of itself, and what had its name before as it was.
type Create struct {
	target
	Mark *Mark `json:"mark,omitempty"`
}

// Copy makes what Build starts from, of an image that says so (resource.Image.Copies): a full copy of its Origin, which nobody
// writes to meanwhile; ErrInUse when a guest does. It lies beside the image, under a name made from the image's. What an earlier
// try left of it, and of Build, is replaced.
type Copy struct{ target }

// Build makes an image's bits of the copy, or of an Origin that never changes: a guest boots from them, does what Build and Seal
// say, and goes off; then Create makes the image of what it leaves. A guest that fails is a *BuildError. Whatever happens, the guest
// and all that it needed are gone afterwards; where that could not be done, because vmplan was killed, the next Copy, Build,
// Create or Delete of the image does it. What bears neither the mark's lineage and address nor a name made from the image's is
// left alone.
type Build struct {
	target
	Mark Mark `json:"mark"`
}

// Update changes the object from Before (live) to After, which is the target. Live tells whether a running guest is changed as well as its
// definition; otherwise only the definition is written. What After does not mention stays.
type Update struct {
	target
	owned
	Before resource.Resource `json:"-"`
	Live   bool              `json:"live,omitempty"`
}

// Delete removes the object: undefines a vm (off by then; with NVRAM, managed save and snapshot metadata) but none of its
// volumes; stops and undefines a network or pool (a pool's folder is removed when it is empty); deletes a volume's bits.
// An object that others use is ErrInUse and stays: a volume that a vm or another volume uses, a network that a running guest is on.
// A vm, network or pool of that name which is not this very object (another UUID) is ErrConflict and stays, for all operations.
type Delete struct {
	target
	owned
}

// Start starts a vm.
type Start struct{ target }

// Stop shuts a vm down gracefully and, when it has not stopped within its ShutdownTimeout, switches it off; with Force at once.
type Stop struct {
	target
	owned
	Force bool `json:"force,omitempty"`
}

// Reboot asks the guest to reboot; with Force it is reset.
type Reboot struct {
	target
	owned
	Force bool `json:"force,omitempty"`
}

// WaitReady waits for what the vm's Ready asks for. On a timeout the error ends with the last lines of the serial log.
type WaitReady struct{ target }

// SetMark writes the ownership mark and changes nothing else. Objects that cannot carry one are left alone.
type SetMark struct {
	target
	owned
	Mark Mark `json:"mark"`
}

// Snapshot takes a snapshot of a vm's disks, under a name: of a guest that runs, with Memory, also of its memory. Without it,
// the file systems of a running guest are frozen meanwhile if its agent answers. One of that name that is there is as wanted.
// What the host cannot take a snapshot of is ErrUnsupported.
type Snapshot struct {
	target
	owned
	Name   string `json:"name"`
	Memory bool   `json:"memory,omitempty"`
}

// Restore brings the disks of a vm back to a snapshot. The guest is off afterwards, or goes on with the snapshot's memory.
// The definition stays as it is, unless With asks for that of the snapshot too. ErrNotFound when there is no such snapshot.
type Restore struct {
	target
	owned
	Name string `json:"name"`
	With bool   `json:"with_definition,omitempty"`
}

// DropSnapshot removes a snapshot of a vm, and nothing of what the vm is now.
type DropSnapshot struct {
	target
	owned
	Name string `json:"name"`
}

// Flatten copies the contents of a volume's backing files into it, so that it has none. A guest that uses it may run.
// Cut short, it leaves the volume as good as it was, and the same again goes on. A volume with snapshots in it is ErrInUse,
// because they use the same backing file.
type Flatten struct{ target }

// Record changes only vmplan's record of the object: no driver is called.
type Record struct{ target }

// Forget drops vmplan's record of the object: no driver is called.
type Forget struct{ target }

func (*Create) Verb() string    { return "create" }
func (*Copy) Verb() string      { return "copy" }
func (*Build) Verb() string     { return "build" }
func (*Update) Verb() string    { return "update" }
func (*Delete) Verb() string    { return "delete" }
func (*Start) Verb() string     { return "start" }
func (*Stop) Verb() string      { return "stop" }
func (*Reboot) Verb() string    { return "reboot" }
func (*WaitReady) Verb() string { return "wait" }
func (*SetMark) Verb() string   { return "mark" }
func (*Record) Verb() string    { return "record" }
func (*Forget) Verb() string    { return "forget" }

func (*Snapshot) Verb() string     { return "snapshot" }
func (*Restore) Verb() string      { return "restore" }
func (*DropSnapshot) Verb() string { return "drop" }
func (*Flatten) Verb() string      { return "flatten" }

// NewCreate is the Op that makes r, and marks it with m; nil for kinds without a mark.
func NewCreate(r resource.Resource, m *Mark) *Create { return &Create{target{r}, m} }

// NewCopy is the Op that copies what img is made from.
func NewCopy(img *resource.Image) *Copy { return &Copy{target{img}} }

// NewBuild is the Op that builds and seals img, in a guest that bears m.
func NewBuild(img *resource.Image, m Mark) *Build { return &Build{target{img}, m} }

// NewUpdate is the Op that changes before into after; live: in the running guest too.
func NewUpdate(before, after resource.Resource, live bool) *Update {
	return &Update{target{after}, owned{}, before, live}
}

// NewDelete is the Op that deletes r.
func NewDelete(r resource.Resource) *Delete { return &Delete{target{r}, owned{}} }

// NewStart is the Op that starts vm.
func NewStart(vm *resource.VM) *Start { return &Start{target{vm}} }

// NewStop is the Op that shuts vm down, or with force switches it off.
func NewStop(vm *resource.VM, force bool) *Stop { return &Stop{target{vm}, owned{}, force} }

// NewReboot is the Op that reboots vm, or with force resets it.
func NewReboot(vm *resource.VM, force bool) *Reboot { return &Reboot{target{vm}, owned{}, force} }

// NewWaitReady is the Op that waits until vm is as its ready block asks.
func NewWaitReady(vm *resource.VM) *WaitReady { return &WaitReady{target{vm}} }

// NewSetMark is the Op that sets r's mark to m.
func NewSetMark(r resource.Resource, m Mark) *SetMark { return &SetMark{target{r}, owned{}, m} }

// NewSnapshot is the Op that takes a snapshot of vm, with its guest's memory if it runs.
func NewSnapshot(vm *resource.VM, name string, memory bool) *Snapshot {
	return &Snapshot{target{vm}, owned{}, name, memory}
}

// NewRestore is the Op that brings vm back to a snapshot; with: its definition too.
func NewRestore(vm *resource.VM, name string, with bool) *Restore {
	return &Restore{target{vm}, owned{}, name, with}
}

// NewDropSnapshot is the Op that removes a snapshot of vm.
func NewDropSnapshot(vm *resource.VM, name string) *DropSnapshot {
	return &DropSnapshot{target{vm}, owned{}, name}
}

// NewFlatten is the Op that removes the backing files of v.
func NewFlatten(v *resource.Volume) *Flatten { return &Flatten{target{v}} }

// NewRecord is the Op that writes r into the state and touches no host.
func NewRecord(r resource.Resource) *Record { return &Record{target{r}} }

// NewForget is the Op that drops r from the state and touches no host.
func NewForget(r resource.Resource) *Forget { return &Forget{target{r}} }

// Encoded is an Op in JSON: {"op": VERB, "target": …, …}.
type Encoded struct{ Op }

type encodedOp struct {
	Verb   string            `json:"op"`
	Target resource.Encoded  `json:"target"`
	Before *resource.Encoded `json:"before,omitempty"`
	Args   json.RawMessage   `json:"args,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (e Encoded) MarshalJSON() ([]byte, error) {
	args, err := json.Marshal(e.Op)
	if err != nil {
		return nil, err
	}
	out := encodedOp{Verb: e.Verb(), Target: resource.Encoded{Resource: e.Target()}}
	if string(args) != "{}" {
		out.Args = args
	}
	if u, ok := e.Op.(*Update); ok {
		out.Before = &resource.Encoded{Resource: u.Before}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Encoded) UnmarshalJSON(data []byte) error {
	var raw encodedOp
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	ops := map[string]Op{
		"create": &Create{}, "copy": &Copy{}, "build": &Build{}, "update": &Update{}, "delete": &Delete{}, "start": &Start{}, "stop": &Stop{}, "reboot": &Reboot{},
		"wait": &WaitReady{}, "mark": &SetMark{}, "record": &Record{}, "forget": &Forget{},
		"snapshot": &Snapshot{}, "restore": &Restore{}, "drop": &DropSnapshot{}, "flatten": &Flatten{},
	}
	op := ops[raw.Verb]
	if op == nil || raw.Target.Resource == nil {
		return fmt.Errorf("there is no operation %q on this target", raw.Verb)
	}
	if raw.Args != nil {
		if err := json.Unmarshal(raw.Args, op); err != nil {
			return err
		}
	}
	op.setTarget(raw.Target.Resource)
	if u, ok := op.(*Update); ok {
		if raw.Before == nil || raw.Before.Resource == nil || raw.Before.Kind() != u.Target().Kind() {
			return fmt.Errorf("update of %s lacks what was before", u.Target().Base().Addr)
		}
		u.Before = raw.Before.Resource
	}
	e.Op = op
	return nil
}
