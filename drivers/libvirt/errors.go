//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers"
)

// callError is a libvirt call that failed. It is one of drivers' sentinels where libvirt's code says so.
type callError struct {
	call     string // what was being done to what
	sentinel error  // or nil
	err      libvirt.Error
}

func (e *callError) Error() string { return e.call + ": " + e.err.Message + remedy(e.err.Message) }

// remedy says what to do about those messages of libvirt's that do not tell.
func remedy(message string) string {
	if strings.Contains(message, "Child process (tc ") {
		return "; the host's kernel cannot limit bandwidth: load its modules sch_htb, sch_sfq, sch_ingress, cls_u32 and act_police there, or take the nic's bandwidth block out"
	}
	return ""
}

func (e *callError) Unwrap() []error {
	if e.sentinel == nil {
		return []error{e.err}
	}
	return []error{e.sentinel, e.err}
}

// fail says which call failed; nil stays nil.
func fail(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	call := fmt.Sprintf(format, args...)
	if e, ok := errors.AsType[libvirt.Error](err); ok {
		return &callError{call, sentinelOf(e), e}
	}
	return fmt.Errorf("%s: %w", call, err)
}

var sentinels = map[libvirt.ErrorNumber]error{
	libvirt.ERR_NO_DOMAIN:             drivers.ErrNotFound,
	libvirt.ERR_NO_NETWORK:            drivers.ErrNotFound,
	libvirt.ERR_NO_STORAGE_POOL:       drivers.ErrNotFound,
	libvirt.ERR_NO_STORAGE_VOL:        drivers.ErrNotFound,
	libvirt.ERR_NO_SUPPORT:            drivers.ErrUnsupported,
	libvirt.ERR_CONFIG_UNSUPPORTED:    drivers.ErrUnsupported,
	libvirt.ERR_ARGUMENT_UNSUPPORTED:  drivers.ErrUnsupported,
	libvirt.ERR_OPERATION_UNSUPPORTED: drivers.ErrUnsupported,
	libvirt.ERR_NO_DOMAIN_METADATA:    drivers.ErrNotFound,
	libvirt.ERR_DOM_EXIST:             drivers.ErrConflict,
	libvirt.ERR_NETWORK_EXIST:         drivers.ErrConflict,
	libvirt.ERR_STORAGE_VOL_EXIST:     drivers.ErrConflict,
	libvirt.ERR_RESOURCE_BUSY:         drivers.ErrInUse,
	libvirt.ERR_OPERATION_TIMEOUT:     drivers.ErrTimeout,
	libvirt.ERR_AGENT_UNRESPONSIVE:    drivers.ErrTimeout,
	libvirt.ERR_RPC:                   drivers.ErrUnavailable,
	libvirt.ERR_NO_CONNECT:            drivers.ErrUnavailable,
	libvirt.ERR_INVALID_CONN:          drivers.ErrUnavailable,
	libvirt.ERR_AUTH_FAILED:           drivers.ErrUnavailable,
	libvirt.ERR_AUTH_UNAVAILABLE:      drivers.ErrUnavailable,
	libvirt.ERR_AUTH_CANCELLED:        drivers.ErrUnavailable,
}

func sentinelOf(e libvirt.Error) error {
	switch {
	case strings.Contains(e.Message, "No space left on device"):
		return drivers.ErrNoSpace
	case strings.Contains(e.Message, "Child process (tc "):
		return drivers.ErrUnsupported
	case e.Domain == libvirt.FROM_RPC:
		// A connection that breaks is a system or an internal error of the RPC layer.
		return drivers.ErrUnavailable
	}
	return sentinels[e.Code]
}

// hasCode tells whether err is libvirt's with one of the codes.
func hasCode(err error, codes ...libvirt.ErrorNumber) bool {
	e, ok := errors.AsType[libvirt.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// missing tells whether err is libvirt's word that the object is not there. No other error means that.
func missing(err error) bool {
	return hasCode(err, libvirt.ERR_NO_DOMAIN, libvirt.ERR_NO_NETWORK, libvirt.ERR_NO_STORAGE_POOL, libvirt.ERR_NO_STORAGE_VOL)
}

// notOffered tells whether err says that this libvirt driver lacks the call or its flags.
func notOffered(err error) bool {
	return hasCode(err, libvirt.ERR_NO_SUPPORT, libvirt.ERR_INVALID_ARG, libvirt.ERR_OPERATION_UNSUPPORTED)
}
