//! Sign-in, permission, limits and policies: the wording of registries, token services, clouds,
//! credential helpers and policy controllers.

use super::{Phrase, part, says, word};
use crate::explain::layer::Speaker as W;
use crate::explain::signal::Signal as S;
use crate::stage::Stage;

pub(super) static PHRASES: &[Phrase] = &[
    // Nothing was sent.
    says("no basic auth credentials", S::NoCredentials).at(Stage::Auth),
    says("no user/password was provided", S::NoCredentials).at(Stage::Auth),
    says("no credentials provided", S::NoCredentials).at(Stage::Auth),
    says("Unauthenticated request", S::Unauthenticated).by(W::Registry),
    says("anonymous user", S::Unauthenticated).by(W::Registry),
    says("anonymous caller", S::Unauthenticated).by(W::Registry),
    says("Login required", S::Unauthenticated).by(W::Registry),
    says("must be logged in", S::Unauthenticated).by(W::Registry),
    says("authentication is required", S::Unauthenticated).by(W::Registry),
    // Sent and refused.
    says("incorrect username or password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("invalid username/password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("invalid username or password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("wrong username or password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("bad username or password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("invalid user name or password", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("username or password is incorrect", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("password is incorrect", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("bad credentials", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("invalid credentials provided", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("unauthorized: invalid credentials", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("credentials are invalid", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says(
        "cannot be authenticated with the token provided",
        S::BadCredentials,
    )
    .by(W::Registry),
    says(
        "security token included in the request is",
        S::BadCredentials,
    )
    .by(W::Registry),
    says("security token is invalid", S::BadCredentials).by(W::Registry),
    says("HTTP Basic: Access denied", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("personal access token is expired", S::BadCredentials).by(W::Registry),
    says("token is expired", S::BadCredentials).by(W::Registry),
    says("token has expired", S::BadCredentials).by(W::Registry),
    says("token is invalid", S::BadCredentials).by(W::Registry),
    says("invalid_token", S::BadCredentials).by(W::Registry),
    says("authentication failed", S::BadCredentials).by(W::Registry),
    says("Could not authenticate", S::BadCredentials).by(W::Registry),
    says("account is disabled", S::BadCredentials).by(W::Registry),
    says("Invalid JWT", S::BadCredentials).by(W::Registry),
    says("authorization token has expired", S::EcrExpired)
        .by(W::Registry)
        .at(Stage::Auth),
    says("not registered with AAD", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    says("Admin user is disabled", S::BadCredentials)
        .by(W::Registry)
        .at(Stage::Token),
    // Known, and not allowed.
    says(
        "access to the requested resource is not authorized",
        S::NotAuthorized,
    )
    .by(W::Registry),
    says("unauthorized to access repository", S::NotAuthorized).by(W::Registry),
    says("is not authorized to perform", S::NotAuthorized).by(W::Registry),
    says("does not have permission", S::NotAuthorized).by(W::Registry),
    says("do not have permission", S::NotAuthorized).by(W::Registry),
    says("don't have permission", S::NotAuthorized).by(W::Registry),
    says("don't have the required permission", S::NotAuthorized).by(W::Registry),
    says("not have required permission", S::NotAuthorized).by(W::Registry),
    says("permission denied for", S::NotAuthorized).by(W::Registry),
    part("Permission \"", S::NotAuthorized).by(W::Registry),
    says("permission_denied", S::NotAuthorized).by(W::Registry),
    says("insufficient permission", S::NotAuthorized).by(W::Registry),
    says("does not have storage.objects", S::NotAuthorized).by(W::Registry),
    says("AccessDeniedException", S::NotAuthorized).by(W::Registry),
    says("User does not have", S::NotAuthorized).by(W::Registry),
    says("not allowed to access", S::NotAuthorized).by(W::Registry),
    says("no permission to", S::NotAuthorized).by(W::Registry),
    says("AcrPull role", S::NotAuthorized),
    // What the operating system says, not a registry.
    says("permission denied", S::SystemReason),
    word("denied", S::Denied).by(W::Registry),
    word("unauthorized", S::Unauthorized).by(W::Registry),
    says("authentication required", S::Unauthorized).by(W::Registry),
    // Absent or not allowed.
    says(
        "requested access to the resource is denied",
        S::ResourceDenied,
    )
    .by(W::Registry)
    .at(Stage::Manifest),
    says("pull access denied", S::AbsentOrDenied)
        .by(W::Registry)
        .at(Stage::Manifest),
    says(
        "repository does not exist or may require",
        S::AbsentOrDenied,
    )
    .at(Stage::Manifest),
    says("insufficient_scope", S::AbsentOrDenied)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("does not exist or no pull access", S::AbsentOrDenied).at(Stage::Manifest),
    says("or it may not exist", S::AbsentOrDenied).at(Stage::Manifest),
    says("may not exist or you may not have", S::AbsentOrDenied).at(Stage::Manifest),
    says("it exists and you have permission", S::AbsentOrDenied).at(Stage::Manifest),
    says(
        "there are no credentials on this request",
        S::AbsentOrDenied,
    )
    .at(Stage::Manifest),
    says("not found or you do not have", S::AbsentOrDenied).at(Stage::Manifest),
    says("not found or access denied", S::AbsentOrDenied).at(Stage::Manifest),
    // The token service.
    says("did not include a token", S::TokenBad)
        .by(W::TokenService)
        .at(Stage::Token),
    says("unable to decode token response", S::TokenBad)
        .by(W::TokenService)
        .at(Stage::Token),
    says("no token in", S::TokenBad)
        .by(W::TokenService)
        .at(Stage::Token),
    says("no realm specified", S::NoRealm)
        .by(W::TokenService)
        .at(Stage::Token),
    says("parsing bearer token", S::TokenBad)
        .by(W::TokenService)
        .at(Stage::Token),
    // Azure.
    says("ManagedIdentityCredential", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("DefaultAzureCredential", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("WorkloadIdentityCredential", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("ClientSecretCredential", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("ChainedTokenCredential", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    part("AADSTS", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("adal: ", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("Identity not found", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("user assigned identities exist", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("managed identity", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("rejected token exchange", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("ACR token exchange", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("failed to acquire a token", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("failed to refresh ARM access token", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("acquire ARM token", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    says("get credential from azure", S::AzureIdentity)
        .by(W::AzureIdentity)
        .at(Stage::Token),
    // Plug-ins and helpers.
    says("credential provider plugin", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("credential provider", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("credential-provider", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    part("docker-credential-", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("error getting credentials", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("credential helper", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("Failed to get authorization token", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("Failed to register CRI auth plugins", S::CredentialProvider)
        .by(W::Kubelet)
        .at(Stage::Auth),
    says("CredentialProviderConfig", S::CredentialProvider)
        .by(W::Kubelet)
        .at(Stage::Auth),
    says(
        "credentials not found in native keychain",
        S::CredentialProvider,
    )
    .by(W::CredentialProvider)
    .at(Stage::Auth),
    says("NoCredentialProviders", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("no valid providers in chain", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says("no EC2 IMDS role found", S::CredentialProvider)
        .by(W::CredentialProvider)
        .at(Stage::Auth),
    says(
        "unable to retrieve ecr registry auth",
        S::CredentialProvider,
    )
    .by(W::Agent)
    .at(Stage::Auth),
    // Where it came from.
    says("is not allowed access", S::AddressDenied).by(W::Registry),
    says("not in the allowlist", S::AddressDenied).by(W::Registry),
    says("not in the whitelist", S::AddressDenied).by(W::Registry),
    says("is not in allowed IP", S::AddressDenied).by(W::Registry),
    says("IP address is not allowed", S::AddressDenied).by(W::Registry),
    says("not allowed by network rule", S::AddressDenied).by(W::Registry),
    says("public network access is disabled", S::AddressDenied).by(W::Registry),
    says("prohibited by organization's policy", S::AddressDenied).by(W::Registry),
    says("VPC Service Controls", S::AddressDenied).by(W::Registry),
    // The account.
    says("billing account", S::Billing).by(W::Registry),
    says("requires billing", S::Billing).by(W::Registry),
    says("enable billing", S::Billing).by(W::Registry),
    says("billing is disabled", S::Billing).by(W::Registry),
    says("BILLING_DISABLED", S::Billing).by(W::Registry),
    says("AccountProblem", S::Billing).by(W::Storage),
    says("past due balance", S::Billing),
    says("payment required", S::Billing).by(W::Registry),
    says("has not been used in project", S::Billing).by(W::Registry),
    says("SERVICE_DISABLED", S::Billing).by(W::Registry),
    says("please enable google", S::Billing).by(W::Registry),
    says("enable the API", S::Billing),
    says("storage quota", S::Billing).by(W::Registry),
    says("quota has been exceeded", S::Billing).by(W::Registry),
    says("account has been suspended", S::Billing).by(W::Registry),
    says("account is suspended", S::Billing).by(W::Registry),
    says("subscription has expired", S::Billing).by(W::Registry),
    // Too many requests.
    says("toomanyrequests", S::RateLimit).by(W::Registry),
    says("Too Many Requests", S::RateLimit).by(W::Registry),
    says("Rate exceeded", S::RateLimit).by(W::Registry),
    says("rate limit", S::RateLimit).by(W::Registry),
    part("rate-limit", S::RateLimit),
    says("ThrottlingException", S::RateLimit).by(W::Registry),
    says("request was throttled", S::RateLimit).by(W::Registry),
    says("Quota exceeded for quota metric", S::RateLimit).by(W::Registry),
    says("too many requests to registry", S::RateLimit).by(W::ContainersImage),
    // Policies.
    says("Source image rejected", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("SignatureValidationFailed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("signature validation failed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("signature verification failed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("image verification failed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("A signature was required", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("None of the signatures were accepted", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("no matching signatures", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("no matching attestations", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("is rejected by policy", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("rejected by policy", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("denied by policy", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("blocked due to the following policies", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("image policy webhook", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("ImagePolicyWebhook", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("is not an allowed registry", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("registry is not allowed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("image is not allowed", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("denied by validating", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("ValidatingAdmissionPolicy", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("prevented by vulnerability", S::PolicyDenied)
        .by(W::Policy)
        .at(Stage::Policy),
    says("is blocked in ", S::RegistryBlocked)
        .by(W::ContainersImage)
        .at(Stage::Policy),
    // Pull secrets.
    says(
        "Unable to retrieve some image pull secrets",
        S::SecretMissing,
    )
    .by(W::Kubelet)
    .at(Stage::Kubelet),
    says("FailedToRetrieveImagePullSecret", S::SecretMissing)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("Unable to retrieve pull secret", S::SecretMissing)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("couldn't find key .docker", S::SecretMalformed)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("secret \"", S::SecretNamed)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("secrets \"", S::SecretNamed)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("illegal base64 data", S::SecretMalformed).at(Stage::Kubelet),
    part("data[.dockerconfigjson]", S::SecretMalformed).at(Stage::Kubelet),
    part("data[.dockercfg]", S::SecretMalformed).at(Stage::Kubelet),
    part("data[.dockerconf", S::SecretMalformed).at(Stage::Kubelet),
    says("DockerConfigJson", S::SecretMalformed).at(Stage::Kubelet),
    says("credentialprovider.DockerConfig", S::SecretMalformed).at(Stage::Kubelet),
    says("DockerConfigEntry", S::SecretMalformed).at(Stage::Kubelet),
    says("unable to parse auth field", S::SecretMalformed).at(Stage::Kubelet),
    says("parsing config file", S::SecretMalformed).at(Stage::Auth),
    says("invalid auth configuration", S::SecretMalformed).at(Stage::Auth),
    says("Invalid auth config", S::SecretMalformed).at(Stage::Auth),
];
