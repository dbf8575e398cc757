impl serde::Serialize for ResolveReason {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "RESOLVE_REASON_UNSPECIFIED",
            Self::Match => "RESOLVE_REASON_MATCH",
            Self::NoSegmentMatch => "RESOLVE_REASON_NO_SEGMENT_MATCH",
            Self::NoTreatmentMatch => "RESOLVE_REASON_NO_TREATMENT_MATCH",
            Self::FlagArchived => "RESOLVE_REASON_FLAG_ARCHIVED",
            Self::TargetingKeyError => "RESOLVE_REASON_TARGETING_KEY_ERROR",
            Self::Error => "RESOLVE_REASON_ERROR",
            Self::UnrecognizedTargetingRule => "RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE",
            Self::MaterializationNotSupported => "RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED",
            Self::TypeMismatch => "RESOLVE_REASON_TYPE_MISMATCH",
            Self::FlagNotFound => "RESOLVE_REASON_FLAG_NOT_FOUND",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for ResolveReason {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "RESOLVE_REASON_UNSPECIFIED",
            "RESOLVE_REASON_MATCH",
            "RESOLVE_REASON_NO_SEGMENT_MATCH",
            "RESOLVE_REASON_NO_TREATMENT_MATCH",
            "RESOLVE_REASON_FLAG_ARCHIVED",
            "RESOLVE_REASON_TARGETING_KEY_ERROR",
            "RESOLVE_REASON_ERROR",
            "RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE",
            "RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED",
            "RESOLVE_REASON_TYPE_MISMATCH",
            "RESOLVE_REASON_FLAG_NOT_FOUND",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = ResolveReason;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "RESOLVE_REASON_UNSPECIFIED" => Ok(ResolveReason::Unspecified),
                    "RESOLVE_REASON_MATCH" => Ok(ResolveReason::Match),
                    "RESOLVE_REASON_NO_SEGMENT_MATCH" => Ok(ResolveReason::NoSegmentMatch),
                    "RESOLVE_REASON_NO_TREATMENT_MATCH" => Ok(ResolveReason::NoTreatmentMatch),
                    "RESOLVE_REASON_FLAG_ARCHIVED" => Ok(ResolveReason::FlagArchived),
                    "RESOLVE_REASON_TARGETING_KEY_ERROR" => Ok(ResolveReason::TargetingKeyError),
                    "RESOLVE_REASON_ERROR" => Ok(ResolveReason::Error),
                    "RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE" => Ok(ResolveReason::UnrecognizedTargetingRule),
                    "RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED" => Ok(ResolveReason::MaterializationNotSupported),
                    "RESOLVE_REASON_TYPE_MISMATCH" => Ok(ResolveReason::TypeMismatch),
                    "RESOLVE_REASON_FLAG_NOT_FOUND" => Ok(ResolveReason::FlagNotFound),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Sdk {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.version.is_empty() {
            len += 1;
        }
        if self.sdk.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.Sdk", len)?;
        if !self.version.is_empty() {
            struct_ser.serialize_field("version", &self.version)?;
        }
        if let Some(v) = self.sdk.as_ref() {
            match v {
                sdk::Sdk::Id(v) => {
                    let v = crate::open_enum::OpenEnum::<SdkId>::try_from(*v)
                        .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", *v)))?;
                    struct_ser.serialize_field("id", &v)?;
                }
                sdk::Sdk::CustomId(v) => {
                    struct_ser.serialize_field("customId", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Sdk {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "version",
            "id",
            "custom_id",
            "customId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Version,
            Id,
            CustomId,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "version" => Ok(GeneratedField::Version),
                            "id" => Ok(GeneratedField::Id),
                            "customId" | "custom_id" => Ok(GeneratedField::CustomId),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Sdk;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.Sdk")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Sdk, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut version__ = None;
                let mut sdk__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Version => {
                            if version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("version"));
                            }
                            version__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Id => {
                            if sdk__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            sdk__ = map_.next_value::<::std::option::Option<crate::open_enum::OpenEnum<SdkId>>>()?.map(|x| sdk::Sdk::Id(x.number));
                        }
                        GeneratedField::CustomId => {
                            if sdk__.is_some() {
                                return Err(serde::de::Error::duplicate_field("customId"));
                            }
                            sdk__ = map_.next_value::<::std::option::Option<_>>()?.map(sdk::Sdk::CustomId);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Sdk {
                    version: version__.unwrap_or_default(),
                    sdk: sdk__,
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.Sdk", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SdkId {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "SDK_ID_UNSPECIFIED",
            Self::JavaProvider => "SDK_ID_JAVA_PROVIDER",
            Self::KotlinProvider => "SDK_ID_KOTLIN_PROVIDER",
            Self::SwiftProvider => "SDK_ID_SWIFT_PROVIDER",
            Self::JsWebProvider => "SDK_ID_JS_WEB_PROVIDER",
            Self::JsServerProvider => "SDK_ID_JS_SERVER_PROVIDER",
            Self::PythonProvider => "SDK_ID_PYTHON_PROVIDER",
            Self::GoProvider => "SDK_ID_GO_PROVIDER",
            Self::RubyProvider => "SDK_ID_RUBY_PROVIDER",
            Self::RustProvider => "SDK_ID_RUST_PROVIDER",
            Self::JavaConfidence => "SDK_ID_JAVA_CONFIDENCE",
            Self::KotlinConfidence => "SDK_ID_KOTLIN_CONFIDENCE",
            Self::SwiftConfidence => "SDK_ID_SWIFT_CONFIDENCE",
            Self::JsConfidence => "SDK_ID_JS_CONFIDENCE",
            Self::PythonConfidence => "SDK_ID_PYTHON_CONFIDENCE",
            Self::GoConfidence => "SDK_ID_GO_CONFIDENCE",
            Self::RustConfidence => "SDK_ID_RUST_CONFIDENCE",
            Self::FlutterIosConfidence => "SDK_ID_FLUTTER_IOS_CONFIDENCE",
            Self::FlutterAndroidConfidence => "SDK_ID_FLUTTER_ANDROID_CONFIDENCE",
            Self::DotnetConfidence => "SDK_ID_DOTNET_CONFIDENCE",
            Self::GoLocalProvider => "SDK_ID_GO_LOCAL_PROVIDER",
            Self::JavaLocalProvider => "SDK_ID_JAVA_LOCAL_PROVIDER",
            Self::JsLocalServerProvider => "SDK_ID_JS_LOCAL_SERVER_PROVIDER",
            Self::PythonLocalProvider => "SDK_ID_PYTHON_LOCAL_PROVIDER",
            Self::RustLocalProvider => "SDK_ID_RUST_LOCAL_PROVIDER",
            Self::CloudflareResolver => "SDK_ID_CLOUDFLARE_RESOLVER",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for SdkId {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "SDK_ID_UNSPECIFIED",
            "SDK_ID_JAVA_PROVIDER",
            "SDK_ID_KOTLIN_PROVIDER",
            "SDK_ID_SWIFT_PROVIDER",
            "SDK_ID_JS_WEB_PROVIDER",
            "SDK_ID_JS_SERVER_PROVIDER",
            "SDK_ID_PYTHON_PROVIDER",
            "SDK_ID_GO_PROVIDER",
            "SDK_ID_RUBY_PROVIDER",
            "SDK_ID_RUST_PROVIDER",
            "SDK_ID_JAVA_CONFIDENCE",
            "SDK_ID_KOTLIN_CONFIDENCE",
            "SDK_ID_SWIFT_CONFIDENCE",
            "SDK_ID_JS_CONFIDENCE",
            "SDK_ID_PYTHON_CONFIDENCE",
            "SDK_ID_GO_CONFIDENCE",
            "SDK_ID_RUST_CONFIDENCE",
            "SDK_ID_FLUTTER_IOS_CONFIDENCE",
            "SDK_ID_FLUTTER_ANDROID_CONFIDENCE",
            "SDK_ID_DOTNET_CONFIDENCE",
            "SDK_ID_GO_LOCAL_PROVIDER",
            "SDK_ID_JAVA_LOCAL_PROVIDER",
            "SDK_ID_JS_LOCAL_SERVER_PROVIDER",
            "SDK_ID_PYTHON_LOCAL_PROVIDER",
            "SDK_ID_RUST_LOCAL_PROVIDER",
            "SDK_ID_CLOUDFLARE_RESOLVER",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = SdkId;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "SDK_ID_UNSPECIFIED" => Ok(SdkId::Unspecified),
                    "SDK_ID_JAVA_PROVIDER" => Ok(SdkId::JavaProvider),
                    "SDK_ID_KOTLIN_PROVIDER" => Ok(SdkId::KotlinProvider),
                    "SDK_ID_SWIFT_PROVIDER" => Ok(SdkId::SwiftProvider),
                    "SDK_ID_JS_WEB_PROVIDER" => Ok(SdkId::JsWebProvider),
                    "SDK_ID_JS_SERVER_PROVIDER" => Ok(SdkId::JsServerProvider),
                    "SDK_ID_PYTHON_PROVIDER" => Ok(SdkId::PythonProvider),
                    "SDK_ID_GO_PROVIDER" => Ok(SdkId::GoProvider),
                    "SDK_ID_RUBY_PROVIDER" => Ok(SdkId::RubyProvider),
                    "SDK_ID_RUST_PROVIDER" => Ok(SdkId::RustProvider),
                    "SDK_ID_JAVA_CONFIDENCE" => Ok(SdkId::JavaConfidence),
                    "SDK_ID_KOTLIN_CONFIDENCE" => Ok(SdkId::KotlinConfidence),
                    "SDK_ID_SWIFT_CONFIDENCE" => Ok(SdkId::SwiftConfidence),
                    "SDK_ID_JS_CONFIDENCE" => Ok(SdkId::JsConfidence),
                    "SDK_ID_PYTHON_CONFIDENCE" => Ok(SdkId::PythonConfidence),
                    "SDK_ID_GO_CONFIDENCE" => Ok(SdkId::GoConfidence),
                    "SDK_ID_RUST_CONFIDENCE" => Ok(SdkId::RustConfidence),
                    "SDK_ID_FLUTTER_IOS_CONFIDENCE" => Ok(SdkId::FlutterIosConfidence),
                    "SDK_ID_FLUTTER_ANDROID_CONFIDENCE" => Ok(SdkId::FlutterAndroidConfidence),
                    "SDK_ID_DOTNET_CONFIDENCE" => Ok(SdkId::DotnetConfidence),
                    "SDK_ID_GO_LOCAL_PROVIDER" => Ok(SdkId::GoLocalProvider),
                    "SDK_ID_JAVA_LOCAL_PROVIDER" => Ok(SdkId::JavaLocalProvider),
                    "SDK_ID_JS_LOCAL_SERVER_PROVIDER" => Ok(SdkId::JsLocalServerProvider),
                    "SDK_ID_PYTHON_LOCAL_PROVIDER" => Ok(SdkId::PythonLocalProvider),
                    "SDK_ID_RUST_LOCAL_PROVIDER" => Ok(SdkId::RustLocalProvider),
                    "SDK_ID_CLOUDFLARE_RESOLVER" => Ok(SdkId::CloudflareResolver),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for TelemetryData {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.sdk.is_some() {
            len += 1;
        }
        if self.resolve_latency.is_some() {
            len += 1;
        }
        if !self.resolve_rate.is_empty() {
            len += 1;
        }
        if self.state_age.is_some() {
            len += 1;
        }
        if self.memory_bytes != 0 {
            len += 1;
        }
        if !self.resolver_version.is_empty() {
            len += 1;
        }
        if !self.provider_init_rate.is_empty() {
            len += 1;
        }
        if self.apply_dedup.is_some() {
            len += 1;
        }
        if self.flush.is_some() {
            len += 1;
        }
        if self.events.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData", len)?;
        if let Some(v) = self.sdk.as_ref() {
            struct_ser.serialize_field("sdk", v)?;
        }
        if let Some(v) = self.resolve_latency.as_ref() {
            struct_ser.serialize_field("resolveLatency", v)?;
        }
        if !self.resolve_rate.is_empty() {
            struct_ser.serialize_field("resolveRate", &self.resolve_rate)?;
        }
        if let Some(v) = self.state_age.as_ref() {
            struct_ser.serialize_field("stateAge", v)?;
        }
        if self.memory_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("memoryBytes", ToString::to_string(&self.memory_bytes).as_str())?;
        }
        if !self.resolver_version.is_empty() {
            struct_ser.serialize_field("resolverVersion", &self.resolver_version)?;
        }
        if !self.provider_init_rate.is_empty() {
            struct_ser.serialize_field("providerInitRate", &self.provider_init_rate)?;
        }
        if let Some(v) = self.apply_dedup.as_ref() {
            struct_ser.serialize_field("applyDedup", v)?;
        }
        if let Some(v) = self.flush.as_ref() {
            struct_ser.serialize_field("flush", v)?;
        }
        if let Some(v) = self.events.as_ref() {
            struct_ser.serialize_field("events", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TelemetryData {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "sdk",
            "resolve_latency",
            "resolveLatency",
            "resolve_rate",
            "resolveRate",
            "state_age",
            "stateAge",
            "memory_bytes",
            "memoryBytes",
            "resolver_version",
            "resolverVersion",
            "provider_init_rate",
            "providerInitRate",
            "apply_dedup",
            "applyDedup",
            "flush",
            "events",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Sdk,
            ResolveLatency,
            ResolveRate,
            StateAge,
            MemoryBytes,
            ResolverVersion,
            ProviderInitRate,
            ApplyDedup,
            Flush,
            Events,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "sdk" => Ok(GeneratedField::Sdk),
                            "resolveLatency" | "resolve_latency" => Ok(GeneratedField::ResolveLatency),
                            "resolveRate" | "resolve_rate" => Ok(GeneratedField::ResolveRate),
                            "stateAge" | "state_age" => Ok(GeneratedField::StateAge),
                            "memoryBytes" | "memory_bytes" => Ok(GeneratedField::MemoryBytes),
                            "resolverVersion" | "resolver_version" => Ok(GeneratedField::ResolverVersion),
                            "providerInitRate" | "provider_init_rate" => Ok(GeneratedField::ProviderInitRate),
                            "applyDedup" | "apply_dedup" => Ok(GeneratedField::ApplyDedup),
                            "flush" => Ok(GeneratedField::Flush),
                            "events" => Ok(GeneratedField::Events),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TelemetryData;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TelemetryData, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut sdk__ = None;
                let mut resolve_latency__ = None;
                let mut resolve_rate__ = None;
                let mut state_age__ = None;
                let mut memory_bytes__ = None;
                let mut resolver_version__ = None;
                let mut provider_init_rate__ = None;
                let mut apply_dedup__ = None;
                let mut flush__ = None;
                let mut events__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Sdk => {
                            if sdk__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sdk"));
                            }
                            sdk__ = map_.next_value()?;
                        }
                        GeneratedField::ResolveLatency => {
                            if resolve_latency__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resolveLatency"));
                            }
                            resolve_latency__ = map_.next_value()?;
                        }
                        GeneratedField::ResolveRate => {
                            if resolve_rate__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resolveRate"));
                            }
                            resolve_rate__ = Some(map_.next_value()?);
                        }
                        GeneratedField::StateAge => {
                            if state_age__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stateAge"));
                            }
                            state_age__ = map_.next_value()?;
                        }
                        GeneratedField::MemoryBytes => {
                            if memory_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("memoryBytes"));
                            }
                            memory_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ResolverVersion => {
                            if resolver_version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resolverVersion"));
                            }
                            resolver_version__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ProviderInitRate => {
                            if provider_init_rate__.is_some() {
                                return Err(serde::de::Error::duplicate_field("providerInitRate"));
                            }
                            provider_init_rate__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ApplyDedup => {
                            if apply_dedup__.is_some() {
                                return Err(serde::de::Error::duplicate_field("applyDedup"));
                            }
                            apply_dedup__ = map_.next_value()?;
                        }
                        GeneratedField::Flush => {
                            if flush__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flush"));
                            }
                            flush__ = map_.next_value()?;
                        }
                        GeneratedField::Events => {
                            if events__.is_some() {
                                return Err(serde::de::Error::duplicate_field("events"));
                            }
                            events__ = map_.next_value()?;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(TelemetryData {
                    sdk: sdk__,
                    resolve_latency: resolve_latency__,
                    resolve_rate: resolve_rate__.unwrap_or_default(),
                    state_age: state_age__,
                    memory_bytes: memory_bytes__.unwrap_or_default(),
                    resolver_version: resolver_version__.unwrap_or_default(),
                    provider_init_rate: provider_init_rate__.unwrap_or_default(),
                    apply_dedup: apply_dedup__,
                    flush: flush__,
                    events: events__,
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::ApplyDedupTelemetry {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.applies_total != 0 {
            len += 1;
        }
        if self.applies_deduped != 0 {
            len += 1;
        }
        if self.apply_dedup_overflow != 0 {
            len += 1;
        }
        if self.sweeps != 0 {
            len += 1;
        }
        if self.map_size != 0 {
            len += 1;
        }
        if self.map_capacity != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.ApplyDedupTelemetry", len)?;
        if self.applies_total != 0 {
            struct_ser.serialize_field("appliesTotal", &self.applies_total)?;
        }
        if self.applies_deduped != 0 {
            struct_ser.serialize_field("appliesDeduped", &self.applies_deduped)?;
        }
        if self.apply_dedup_overflow != 0 {
            struct_ser.serialize_field("applyDedupOverflow", &self.apply_dedup_overflow)?;
        }
        if self.sweeps != 0 {
            struct_ser.serialize_field("sweeps", &self.sweeps)?;
        }
        if self.map_size != 0 {
            struct_ser.serialize_field("mapSize", &self.map_size)?;
        }
        if self.map_capacity != 0 {
            struct_ser.serialize_field("mapCapacity", &self.map_capacity)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::ApplyDedupTelemetry {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "applies_total",
            "appliesTotal",
            "applies_deduped",
            "appliesDeduped",
            "apply_dedup_overflow",
            "applyDedupOverflow",
            "sweeps",
            "map_size",
            "mapSize",
            "map_capacity",
            "mapCapacity",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            AppliesTotal,
            AppliesDeduped,
            ApplyDedupOverflow,
            Sweeps,
            MapSize,
            MapCapacity,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "appliesTotal" | "applies_total" => Ok(GeneratedField::AppliesTotal),
                            "appliesDeduped" | "applies_deduped" => Ok(GeneratedField::AppliesDeduped),
                            "applyDedupOverflow" | "apply_dedup_overflow" => Ok(GeneratedField::ApplyDedupOverflow),
                            "sweeps" => Ok(GeneratedField::Sweeps),
                            "mapSize" | "map_size" => Ok(GeneratedField::MapSize),
                            "mapCapacity" | "map_capacity" => Ok(GeneratedField::MapCapacity),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::ApplyDedupTelemetry;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.ApplyDedupTelemetry")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::ApplyDedupTelemetry, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut applies_total__ = None;
                let mut applies_deduped__ = None;
                let mut apply_dedup_overflow__ = None;
                let mut sweeps__ = None;
                let mut map_size__ = None;
                let mut map_capacity__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::AppliesTotal => {
                            if applies_total__.is_some() {
                                return Err(serde::de::Error::duplicate_field("appliesTotal"));
                            }
                            applies_total__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::AppliesDeduped => {
                            if applies_deduped__.is_some() {
                                return Err(serde::de::Error::duplicate_field("appliesDeduped"));
                            }
                            applies_deduped__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ApplyDedupOverflow => {
                            if apply_dedup_overflow__.is_some() {
                                return Err(serde::de::Error::duplicate_field("applyDedupOverflow"));
                            }
                            apply_dedup_overflow__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Sweeps => {
                            if sweeps__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sweeps"));
                            }
                            sweeps__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MapSize => {
                            if map_size__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mapSize"));
                            }
                            map_size__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MapCapacity => {
                            if map_capacity__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mapCapacity"));
                            }
                            map_capacity__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::ApplyDedupTelemetry {
                    applies_total: applies_total__.unwrap_or_default(),
                    applies_deduped: applies_deduped__.unwrap_or_default(),
                    apply_dedup_overflow: apply_dedup_overflow__.unwrap_or_default(),
                    sweeps: sweeps__.unwrap_or_default(),
                    map_size: map_size__.unwrap_or_default(),
                    map_capacity: map_capacity__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.ApplyDedupTelemetry", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::BucketSpan {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.offset != 0 {
            len += 1;
        }
        if !self.counts.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.BucketSpan", len)?;
        if self.offset != 0 {
            struct_ser.serialize_field("offset", &self.offset)?;
        }
        if !self.counts.is_empty() {
            struct_ser.serialize_field("counts", &self.counts)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::BucketSpan {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "offset",
            "counts",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Offset,
            Counts,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "offset" => Ok(GeneratedField::Offset),
                            "counts" => Ok(GeneratedField::Counts),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::BucketSpan;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.BucketSpan")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::BucketSpan, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut offset__ = None;
                let mut counts__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Offset => {
                            if offset__.is_some() {
                                return Err(serde::de::Error::duplicate_field("offset"));
                            }
                            offset__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Counts => {
                            if counts__.is_some() {
                                return Err(serde::de::Error::duplicate_field("counts"));
                            }
                            counts__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::BucketSpan {
                    offset: offset__.unwrap_or_default(),
                    counts: counts__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.BucketSpan", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::EventsTelemetry {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.published != 0 {
            len += 1;
        }
        if self.batches_succeeded != 0 {
            len += 1;
        }
        if self.batches_failed != 0 {
            len += 1;
        }
        if self.events_rejected != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.EventsTelemetry", len)?;
        if self.published != 0 {
            struct_ser.serialize_field("published", &self.published)?;
        }
        if self.batches_succeeded != 0 {
            struct_ser.serialize_field("batchesSucceeded", &self.batches_succeeded)?;
        }
        if self.batches_failed != 0 {
            struct_ser.serialize_field("batchesFailed", &self.batches_failed)?;
        }
        if self.events_rejected != 0 {
            struct_ser.serialize_field("eventsRejected", &self.events_rejected)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::EventsTelemetry {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "published",
            "batches_succeeded",
            "batchesSucceeded",
            "batches_failed",
            "batchesFailed",
            "events_rejected",
            "eventsRejected",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Published,
            BatchesSucceeded,
            BatchesFailed,
            EventsRejected,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "published" => Ok(GeneratedField::Published),
                            "batchesSucceeded" | "batches_succeeded" => Ok(GeneratedField::BatchesSucceeded),
                            "batchesFailed" | "batches_failed" => Ok(GeneratedField::BatchesFailed),
                            "eventsRejected" | "events_rejected" => Ok(GeneratedField::EventsRejected),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::EventsTelemetry;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.EventsTelemetry")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::EventsTelemetry, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut published__ = None;
                let mut batches_succeeded__ = None;
                let mut batches_failed__ = None;
                let mut events_rejected__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Published => {
                            if published__.is_some() {
                                return Err(serde::de::Error::duplicate_field("published"));
                            }
                            published__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::BatchesSucceeded => {
                            if batches_succeeded__.is_some() {
                                return Err(serde::de::Error::duplicate_field("batchesSucceeded"));
                            }
                            batches_succeeded__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::BatchesFailed => {
                            if batches_failed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("batchesFailed"));
                            }
                            batches_failed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::EventsRejected => {
                            if events_rejected__.is_some() {
                                return Err(serde::de::Error::duplicate_field("eventsRejected"));
                            }
                            events_rejected__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::EventsTelemetry {
                    published: published__.unwrap_or_default(),
                    batches_succeeded: batches_succeeded__.unwrap_or_default(),
                    batches_failed: batches_failed__.unwrap_or_default(),
                    events_rejected: events_rejected__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.EventsTelemetry", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::FlushTelemetry {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.succeeded != 0 {
            len += 1;
        }
        if self.failed != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.FlushTelemetry", len)?;
        if self.succeeded != 0 {
            struct_ser.serialize_field("succeeded", &self.succeeded)?;
        }
        if self.failed != 0 {
            struct_ser.serialize_field("failed", &self.failed)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::FlushTelemetry {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "succeeded",
            "failed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Succeeded,
            Failed,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "succeeded" => Ok(GeneratedField::Succeeded),
                            "failed" => Ok(GeneratedField::Failed),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::FlushTelemetry;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.FlushTelemetry")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::FlushTelemetry, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut succeeded__ = None;
                let mut failed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Succeeded => {
                            if succeeded__.is_some() {
                                return Err(serde::de::Error::duplicate_field("succeeded"));
                            }
                            succeeded__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Failed => {
                            if failed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("failed"));
                            }
                            failed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::FlushTelemetry {
                    succeeded: succeeded__.unwrap_or_default(),
                    failed: failed__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.FlushTelemetry", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::ProviderInitRate {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.count != 0 {
            len += 1;
        }
        if !self.labels.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.ProviderInitRate", len)?;
        if self.count != 0 {
            struct_ser.serialize_field("count", &self.count)?;
        }
        if !self.labels.is_empty() {
            struct_ser.serialize_field("labels", &self.labels)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::ProviderInitRate {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "count",
            "labels",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Count,
            Labels,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "count" => Ok(GeneratedField::Count),
                            "labels" => Ok(GeneratedField::Labels),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::ProviderInitRate;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.ProviderInitRate")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::ProviderInitRate, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut count__ = None;
                let mut labels__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Labels => {
                            if labels__.is_some() {
                                return Err(serde::de::Error::duplicate_field("labels"));
                            }
                            labels__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, _>>()?
                            );
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::ProviderInitRate {
                    count: count__.unwrap_or_default(),
                    labels: labels__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.ProviderInitRate", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::ResolveLatency {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.sum != 0 {
            len += 1;
        }
        if self.count != 0 {
            len += 1;
        }
        if !self.buckets.is_empty() {
            len += 1;
        }
        if self.ln_ratio != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.ResolveLatency", len)?;
        if self.sum != 0 {
            struct_ser.serialize_field("sum", &self.sum)?;
        }
        if self.count != 0 {
            struct_ser.serialize_field("count", &self.count)?;
        }
        if !self.buckets.is_empty() {
            struct_ser.serialize_field("buckets", &self.buckets)?;
        }
        if self.ln_ratio != 0. {
            struct_ser.serialize_field("lnRatio", &self.ln_ratio)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::ResolveLatency {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "sum",
            "count",
            "buckets",
            "ln_ratio",
            "lnRatio",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Sum,
            Count,
            Buckets,
            LnRatio,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "sum" => Ok(GeneratedField::Sum),
                            "count" => Ok(GeneratedField::Count),
                            "buckets" => Ok(GeneratedField::Buckets),
                            "lnRatio" | "ln_ratio" => Ok(GeneratedField::LnRatio),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::ResolveLatency;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.ResolveLatency")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::ResolveLatency, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut sum__ = None;
                let mut count__ = None;
                let mut buckets__ = None;
                let mut ln_ratio__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Sum => {
                            if sum__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sum"));
                            }
                            sum__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Buckets => {
                            if buckets__.is_some() {
                                return Err(serde::de::Error::duplicate_field("buckets"));
                            }
                            buckets__ = Some(map_.next_value()?);
                        }
                        GeneratedField::LnRatio => {
                            if ln_ratio__.is_some() {
                                return Err(serde::de::Error::duplicate_field("lnRatio"));
                            }
                            ln_ratio__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::ResolveLatency {
                    sum: sum__.unwrap_or_default(),
                    count: count__.unwrap_or_default(),
                    buckets: buckets__.unwrap_or_default(),
                    ln_ratio: ln_ratio__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.ResolveLatency", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::ResolveRate {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.count != 0 {
            len += 1;
        }
        if self.reason != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.ResolveRate", len)?;
        if self.count != 0 {
            struct_ser.serialize_field("count", &self.count)?;
        }
        if self.reason != 0 {
            let v = crate::open_enum::OpenEnum::<ResolveReason>::try_from(self.reason)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reason)))?;
            struct_ser.serialize_field("reason", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::ResolveRate {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "count",
            "reason",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Count,
            Reason,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "count" => Ok(GeneratedField::Count),
                            "reason" => Ok(GeneratedField::Reason),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::ResolveRate;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.ResolveRate")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::ResolveRate, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut count__ = None;
                let mut reason__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value::<crate::open_enum::OpenEnum<ResolveReason>>()?.number);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::ResolveRate {
                    count: count__.unwrap_or_default(),
                    reason: reason__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.ResolveRate", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for telemetry_data::StateAge {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.last_state_update != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.TelemetryData.StateAge", len)?;
        if self.last_state_update != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("lastStateUpdate", ToString::to_string(&self.last_state_update).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for telemetry_data::StateAge {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "last_state_update",
            "lastStateUpdate",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            LastStateUpdate,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "lastStateUpdate" | "last_state_update" => Ok(GeneratedField::LastStateUpdate),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = telemetry_data::StateAge;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.TelemetryData.StateAge")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<telemetry_data::StateAge, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut last_state_update__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::LastStateUpdate => {
                            if last_state_update__.is_some() {
                                return Err(serde::de::Error::duplicate_field("lastStateUpdate"));
                            }
                            last_state_update__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(telemetry_data::StateAge {
                    last_state_update: last_state_update__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.TelemetryData.StateAge", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for WriteFlagLogsRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.flag_assigned.is_empty() {
            len += 1;
        }
        if self.telemetry_data.is_some() {
            len += 1;
        }
        if !self.client_resolve_info.is_empty() {
            len += 1;
        }
        if !self.flag_resolve_info.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.resolver.v1.WriteFlagLogsRequest", len)?;
        if !self.flag_assigned.is_empty() {
            struct_ser.serialize_field("flagAssigned", &self.flag_assigned)?;
        }
        if let Some(v) = self.telemetry_data.as_ref() {
            struct_ser.serialize_field("telemetryData", v)?;
        }
        if !self.client_resolve_info.is_empty() {
            struct_ser.serialize_field("clientResolveInfo", &self.client_resolve_info)?;
        }
        if !self.flag_resolve_info.is_empty() {
            struct_ser.serialize_field("flagResolveInfo", &self.flag_resolve_info)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for WriteFlagLogsRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "flag_assigned",
            "flagAssigned",
            "telemetry_data",
            "telemetryData",
            "client_resolve_info",
            "clientResolveInfo",
            "flag_resolve_info",
            "flagResolveInfo",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            FlagAssigned,
            TelemetryData,
            ClientResolveInfo,
            FlagResolveInfo,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "flagAssigned" | "flag_assigned" => Ok(GeneratedField::FlagAssigned),
                            "telemetryData" | "telemetry_data" => Ok(GeneratedField::TelemetryData),
                            "clientResolveInfo" | "client_resolve_info" => Ok(GeneratedField::ClientResolveInfo),
                            "flagResolveInfo" | "flag_resolve_info" => Ok(GeneratedField::FlagResolveInfo),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = WriteFlagLogsRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.resolver.v1.WriteFlagLogsRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<WriteFlagLogsRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut flag_assigned__ = None;
                let mut telemetry_data__ = None;
                let mut client_resolve_info__ = None;
                let mut flag_resolve_info__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::FlagAssigned => {
                            if flag_assigned__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flagAssigned"));
                            }
                            flag_assigned__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TelemetryData => {
                            if telemetry_data__.is_some() {
                                return Err(serde::de::Error::duplicate_field("telemetryData"));
                            }
                            telemetry_data__ = map_.next_value()?;
                        }
                        GeneratedField::ClientResolveInfo => {
                            if client_resolve_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientResolveInfo"));
                            }
                            client_resolve_info__ = Some(map_.next_value()?);
                        }
                        GeneratedField::FlagResolveInfo => {
                            if flag_resolve_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flagResolveInfo"));
                            }
                            flag_resolve_info__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(WriteFlagLogsRequest {
                    flag_assigned: flag_assigned__.unwrap_or_default(),
                    telemetry_data: telemetry_data__,
                    client_resolve_info: client_resolve_info__.unwrap_or_default(),
                    flag_resolve_info: flag_resolve_info__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.resolver.v1.WriteFlagLogsRequest", FIELDS, GeneratedVisitor)
    }
}
