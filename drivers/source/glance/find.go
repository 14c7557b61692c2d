package glance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
)

// image finds an image by its id, or else by its name, which must be that of one image.
func (svc *service) image(ctx context.Context, idOrName string) (*images.Image, error) {
	if _, err := uuid.Parse(idOrName); err == nil {
		img, err := images.Get(ctx, svc.client, idOrName).Extract()
		if err == nil {
			return img, nil
		}
		if !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return nil, refused("look image up", err)
		}
	}
	page, err := images.List(svc.client, images.ListOpts{Name: idOrName, Limit: 100}).AllPages(ctx)
	if err != nil {
		return nil, refused("look image up", err)
	}
	found, err := images.ExtractImages(page)
	if err != nil {
		return nil, fmt.Errorf("look image up: the service's answer is invalid: %w", err)
	}
	found = slices.DeleteFunc(found, func(img images.Image) bool { return img.Name != idOrName })
	if active := slices.DeleteFunc(slices.Clone(found), func(img images.Image) bool { return img.Status != images.ImageStatusActive }); len(active) > 0 {
		found = active
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: there is no image %q, or this login may not see it", drivers.ErrUnusable, idOrName)
	case 1:
		return &found[0], nil
	}
	var list []string
	for _, img := range found {
		list = append(list, fmt.Sprintf("%s (made %s, %d bytes)", img.ID, img.CreatedAt.UTC().Format("2006-01-02 15:04"), img.SizeBytes))
	}
	slices.Sort(list)
	return nil, fmt.Errorf("%w: there are %d images called %q, so name one by its id: %s", drivers.ErrUnusable, len(found), idOrName, strings.Join(list, ", "))
}

// refused words the failure of a request, without what was sent, and marks it when a later one may do better.
func refused(what string, err error) error {
	var code gophercloud.ErrUnexpectedResponseCode
	var request *url.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, drivers.ErrUnusable) && errors.As(err, &request):
		return fmt.Errorf("%s: %w", what, request.Err)
	case errors.As(err, &code):
		status := fmt.Errorf("%s: the server answers %d %s", what, code.Actual, http.StatusText(code.Actual))
		switch {
		case code.Actual == http.StatusUnauthorized:
			return fmt.Errorf("%w: %w: wrong user, password or project, or the login has expired", drivers.ErrUnusable, status)
		case code.Actual == http.StatusForbidden:
			return fmt.Errorf("%w: %w: this login may not do that", drivers.ErrUnusable, status)
		case code.Actual >= 500 || code.Actual == http.StatusTooManyRequests || code.Actual == http.StatusRequestTimeout:
			return source.Retry(status, 0)
		}
		return status
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: %s: %w: name its authority's file as cacert in clouds.yaml", drivers.ErrUnusable, what, certificate)
	case errors.As(err, &request):
		return source.Retry(fmt.Errorf("%s: %w", what, request.Err), 0)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	// What else the library says may hold what was sent.
	return fmt.Errorf("%s: %T", what, err)
}

// host is the host of a URL, with its port.
func host(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
