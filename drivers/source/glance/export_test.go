package glance

// Tokens gives the tokens that the source has now.
func (s *Source) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, svc := range s.services {
		out = append(out, svc.client.Token())
	}
	return out
}

// Parse gives what a location means.
func Parse(text string) (cloud, endpoint, image string, err error) {
	at, err := parse(text)
	return at.cloud, at.endpoint, at.image, err
}
