/// Entities with their names, once.
macro_rules! entities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Kind of personal data, by Microsoft Presidio's names, or of secret, by ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Entity {
            $($(#[$doc])* $variant,)*
        }

        impl Entity {
            /// All of them, in the order of their values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in policies and output.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

entities! {
    /// Address of a mailbox (RFC 5321 section 4.1.2).
    EmailAddress = "EMAIL_ADDRESS",
    /// Number of a payment card (ISO/IEC 7812), Luhn.
    CreditCard = "CREDIT_CARD",
    /// International bank account number (ISO 13616), mod 97.
    IbanCode = "IBAN_CODE",
    /// Social security number.
    UsSsn = "US_SSN",
    /// Telephone number.
    PhoneNumber = "PHONE_NUMBER",
    /// IPv4 or IPv6 address.
    IpAddress = "IP_ADDRESS",
    /// IEEE 802 address.
    MacAddress = "MAC_ADDRESS",
    /// Bitcoin address: base58check, bech32 (BIP 173), bech32m (BIP 350).
    Crypto = "CRYPTO",
    /// Address with a scheme, or one that begins with `www.`.
    Url = "URL",
    /// Passport of the United States.
    UsPassport = "US_PASSPORT",
    /// Driver's licence of one of the United States.
    UsDriverLicense = "US_DRIVER_LICENSE",
    /// Bank account in the United States.
    UsBankNumber = "US_BANK_NUMBER",
    /// Individual taxpayer identification number.
    UsItin = "US_ITIN",
    /// National provider identifier, Luhn over 80840 and it.
    UsNpi = "US_NPI",
    /// Certificate number of the Drug Enforcement Administration, with its check digit.
    MedicalLicense = "MEDICAL_LICENSE",
    /// Number of the National Health Service, mod 11.
    UkNhs = "UK_NHS",
    /// National insurance number.
    UkNino = "UK_NINO",
    /// Tax number of Spanish persons, mod 23.
    EsNif = "ES_NIF",
    /// Number of foreigners in Spain, mod 23.
    EsNie = "ES_NIE",
    /// Codice fiscale, mod 26.
    ItFiscalCode = "IT_FISCAL_CODE",
    /// Partita IVA, Luhn.
    ItVatCode = "IT_VAT_CODE",
    /// Number of Polish residents, weighted mod 10.
    PlPesel = "PL_PESEL",
    /// Identity card of Singapore, mod 11.
    SgNricFin = "SG_NRIC_FIN",
    /// Australian business number, mod 89.
    AuAbn = "AU_ABN",
    /// Australian company number, weighted mod 10.
    AuAcn = "AU_ACN",
    /// Australian tax file number, mod 11.
    AuTfn = "AU_TFN",
    /// Australian Medicare card, weighted mod 10.
    AuMedicare = "AU_MEDICARE",
    /// Identity number of Indian residents, Verhoeff.
    InAadhaar = "IN_AADHAAR",
    /// Permanent account number of Indian taxpayers.
    InPan = "IN_PAN",
    /// Goods and services tax number of India, mod 36.
    InGstin = "IN_GSTIN",
    /// Henkilötunnus, mod 31.
    FiPersonalIdentityCode = "FI_PERSONAL_IDENTITY_CODE",
    /// Resident registration number of Korea, mod 11.
    KrRrn = "KR_RRN",
    /// Identity number of Thai citizens, mod 11.
    ThTnin = "TH_TNIN",
    /// Personnummer, Luhn.
    SePersonnummer = "SE_PERSONNUMMER",
    /// Access key id of Amazon Web Services.
    AwsAccessKey = "AWS_ACCESS_KEY",
    /// Secret access key of Amazon Web Services.
    AwsSecretKey = "AWS_SECRET_KEY",
    /// API key of Google Cloud.
    GcpApiKey = "GCP_API_KEY",
    /// Key of an Azure storage account.
    AzureStorageKey = "AZURE_STORAGE_KEY",
    /// Token of GitHub.
    GithubToken = "GITHUB_TOKEN",
    /// Token of GitLab.
    GitlabToken = "GITLAB_TOKEN",
    /// Token of Slack.
    SlackToken = "SLACK_TOKEN",
    /// API key of OpenAI, and of what copies its form.
    OpenaiApiKey = "OPENAI_API_KEY",
    /// API key of Anthropic.
    AnthropicApiKey = "ANTHROPIC_API_KEY",
    /// Token of Hugging Face.
    HuggingfaceToken = "HUGGINGFACE_TOKEN",
    /// Secret or restricted key of Stripe.
    StripeKey = "STRIPE_KEY",
    /// Private key in PEM (RFC 7468).
    PrivateKey = "PRIVATE_KEY",
    /// JSON Web Token (RFC 7519) whose header decodes.
    Jwt = "JWT",
}

impl Entity {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|entity| entity.name() == name)
    }
}
