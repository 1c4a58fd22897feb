// Package gatewayapi translates routes of the Gateway API that are attached to
// Services (the API's profile for meshes).
package gatewayapi
